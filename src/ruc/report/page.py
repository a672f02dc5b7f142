"""Pages of HTML from templates: all that is put in is text, and a page runs its own script and nothing else."""

import base64
import hashlib
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup


def template_text(name: str) -> str:
    """A template, a style or a script, by the name of its file."""
    return (resources.files("ruc.report") / "templates" / name).read_text(encoding="utf-8")


def filled(template: str, **values: Any) -> str:
    """A template's text with values in it, escaped but for `Markup`."""
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    return environment.from_string(template).render(**values)


def page(template: str, title: str, style: str, script: str, **values: Any) -> str:
    """A whole page, whose content security policy names the hashes of its style and of its script.

    `title` may hold lone surrogates, as names of folders do.
    """
    script = f"(function () {{\n'use strict';\n{script}\n}})();"
    return filled(
        template,
        title=title.encode("utf-8", "replace").decode("utf-8"),
        style=Markup(style),
        script=Markup(script),
        style_hash=_csp_hash(style),
        script_hash=_csp_hash(script),
        **values,
    )


def _csp_hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
