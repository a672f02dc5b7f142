"""How `make docs` builds these pages: Markdown by MyST, the Python API from the docstrings, nothing fetched."""

import importlib.metadata

project = "ruc"
author = "the ruc developers"
copyright = "the ruc developers; MIT licence"  # noqa: A001
version = release = importlib.metadata.version("ruc")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}

myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings say shapes and units, which types can't
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False

html_theme = "furo"
html_title = "ruc"
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0a5fa4", "color-brand-content": "#0a5fa4"},
    "dark_css_variables": {"color-brand-primary": "#7cbcf0", "color-brand-content": "#7cbcf0"},
}
