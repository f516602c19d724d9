"""Sphinx configuration."""

from __future__ import annotations

from importlib.metadata import version as installed_version

project = "Beampipe"
author = "The Beampipe developers"
copyright = "2026, the Beampipe developers"
release = installed_version("beampipe")
version = release.split("+")[0]

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx_click",
]
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = "Beampipe"

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3  # errors.md#<code> is what error messages point at

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
