"""Sphinx configuration."""

from __future__ import annotations

import re
from importlib.metadata import version as installed_version
from itertools import groupby
from typing import Any

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

default_role = "literal"  # `name` in a docstring

autodoc_typehints = "signature"
python_maximum_signature_line_length = 88
autodoc_member_order = "bysource"
numpydoc_show_class_members = False

LONE_STAR = re.compile(r"(?<!\*)\*(?!\*)")  # of a glob, not of emphasis


def is_example(line: str) -> bool:
    """Whether click keeps this line as it is; sphinx-click puts a bar in front of those."""
    return line.startswith("| ")


def format_help(app: Any, ctx: Any, lines: list[str]) -> None:
    """Show examples in help texts as code, and their globs as what they are."""
    del app, ctx
    formatted: list[str] = []
    for is_code, group in groupby(lines, is_example):
        if not is_code:
            formatted += [LONE_STAR.sub(r"\*", line) for line in group]
            continue
        texts = [line.removeprefix("| ") for line in group]
        if texts[0].endswith(":"):
            formatted += [texts.pop(0), ""]
        shift = min(len(text) - len(text.lstrip()) for text in texts)
        formatted += [".. code-block:: text", "", *(f"   {text[shift:]}" for text in texts), ""]
    lines[:] = formatted


def hide_constructor(app: Any, what: str, *rest: Any) -> tuple[str, None] | None:
    """Leave the signatures of classes out: who reads this is given their objects."""
    del app, rest
    return ("", None) if what in {"class", "exception"} else None


def setup(app: Any) -> None:
    """What Sphinx calls."""
    app.connect("autodoc-process-signature", hide_constructor)
    for part in ("description", "options"):
        app.connect(f"sphinx-click-process-{part}", format_help)
