"""The report: one HTML file that works offline, with the thumbnails inside."""

import base64
import hashlib
from dataclasses import replace
from importlib import resources
from typing import Final

import jinja2
import numpy as np
from markupsafe import Markup

from ruc.report.data import ReportData
from ruc.report.found import find
from ruc.report.payload import as_script_json, payload
from ruc.report.positions import map_positions
from ruc.report.thumbnails import MOST_SHOWN, choose_shown, make_thumbnails

SCRIPTS: Final = (
    "dom.js",
    "focus.js",
    "data.js",
    "doubt.js",
    "state.js",
    "live.js",
    "edits.js",
    "gallery.js",
    "nearest.js",
    "belonging.js",
    "detail.js",
    "flows.js",
    "summary.js",
    "suggestions.js",
    "review.js",
    "review_sheet.js",
    "review_one.js",
    "clusters.js",
    "marked.js",
    "levels.js",
    "table.js",
    "map.js",
    "charts.js",
    "confusion.js",
    "evaluation.js",
    "closing.js",
    "main.js",
)
STYLES: Final = ("report.css", "levels.css")
IMAGES_PER_SHEET: Final = 250  # parsed together, when the first of them is looked at


def write_report(
    data: ReportData,
    n_thumbnails: int = MOST_SHOWN,
    seed: int = 0,
    live_token: str | None = None,
) -> str:
    """Write the report as the text of one HTML file.

    The page makes no request: style, script and images are inside, and its content security policy
    allows nothing else. File names, labels and settings reach it as JSON and are only ever set as
    text, so that nothing in them can run.

    Parameters
    ----------
    n_thumbnails
        Most images inside the page; of more, a fair sample of each cluster is shown, and the page says so.
    seed
        Of the 2-D map, which is computed where `data.positions` is absent.
    live_token
        Where a server is to be told of the edits, as `ruc.doors.live` does: what the page shows it.
    """
    if data.positions is None and data.features is not None and len(data.file_names) > 1:
        positions, name = map_positions(data.features, seed)
        data = replace(data, positions=positions, positions_name=name)
    found = find(data, seed)
    images: tuple[str, ...] = ()
    shown = np.zeros(0, dtype=np.int64)
    if data.open_thumbnail is not None:
        chosen = choose_shown(
            data.cluster,
            -found.ranks,
            data.confidence,
            data.how_doubtful,
            data.cluster != data.initial_cluster,
            n_thumbnails,
        )
        # neighbours on the page are neighbours in the file: a gallery reads few sheets
        thumbnails = make_thumbnails(
            data.open_thumbnail, chosen[np.argsort(data.cluster[chosen], kind="stable")]
        )
        shown, images = thumbnails.rows, thumbnails.images
    script = "\n".join(_template_text(name) for name in SCRIPTS)
    script = f"(function () {{\n'use strict';\n{script}\n}})();"
    style = "\n".join(_template_text(name) for name in STYLES)
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    return environment.from_string(_template_text("report.html")).render(
        title=data.title.encode("utf-8", "replace").decode("utf-8"),
        n_rows=f"{len(data.file_names):,}",
        noun=data.noun,
        is_live=live_token is not None,
        n_clusters=len(np.unique(data.cluster[data.cluster >= 0])),
        style=Markup(style),
        script=Markup(script),
        style_hash=_csp_hash(style),
        script_hash=_csp_hash(script),
        data=Markup(as_script_json(payload(data, found, shown) | {"liveToken": live_token})),
        sheets=[
            Markup(as_script_json(images[start : start + IMAGES_PER_SHEET]))
            for start in range(0, len(images), IMAGES_PER_SHEET)
        ],
        images_per_sheet=IMAGES_PER_SHEET,
    )


def _template_text(name: str) -> str:
    return (resources.files("ruc.report") / "templates" / name).read_text(encoding="utf-8")


def _csp_hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
