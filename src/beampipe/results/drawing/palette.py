"""Colours of plots and pages, for light and dark, from one table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Series colours: M. A. Petroff, "Accessible Color Sequences for Data Visualization",
# arXiv:2107.02270, the sequence of ten; for dark the dark ones are lifted.
LIGHT: Mapping[str, str] = {
    "ink": "#1c2330",
    "muted": "#5b6575",
    "rule": "#c9cfd8",
    "series0": "#3f90da",
    "series1": "#ffa90e",
    "series2": "#bd1f01",
    "series3": "#94a4a2",
    "series4": "#832db6",
    "series5": "#a96b59",
    "series6": "#e76300",
    "series7": "#b9ac70",
    "series8": "#717581",
    "series9": "#92dadd",
}
DARK: Mapping[str, str] = {
    **LIGHT,
    "ink": "#e6e9ee",
    "muted": "#9aa4b2",
    "rule": "#3c4552",
    "series2": "#e8573c",
    "series4": "#b57be0",
    "series8": "#9297a3",
}
SERIES = tuple(LIGHT[f"series{index}"] for index in range(10))

# matplotlib settings of every plot; used inside `matplotlib.rc_context`, so that the user's own
# stay as they are.
STYLE: dict[Any, Any] = {
    "font.family": ["DejaVu Sans"],
    "font.size": 10,
    "axes.edgecolor": LIGHT["muted"],
    "axes.labelcolor": LIGHT["ink"],
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlecolor": LIGHT["ink"],
    "axes.formatter.limits": (-4, 5),
    "text.color": LIGHT["ink"],
    "xtick.color": LIGHT["muted"],
    "ytick.color": LIGHT["muted"],
    "xtick.labelcolor": LIGHT["ink"],
    "ytick.labelcolor": LIGHT["ink"],
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "xtick.minor.width": 0.5,
    "ytick.minor.width": 0.5,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "svg.fonttype": "path",
    "svg.hashsalt": "beampipe",
}


def theme_svg(svg: str) -> str:
    """Let a plot drawn in the light colours follow the reader's scheme.

    Every colour of the light table becomes a CSS variable, defined once for light and once for
    dark; a viewer without variables sees the light colours.
    """
    rules = "".join(f"--{name}:{colour};" for name, colour in LIGHT.items())
    dark = "".join(f"--{name}:{colour};" for name, colour in DARK.items())
    style = f"<style>:root{{{rules}}}@media(prefers-color-scheme:dark){{:root{{{dark}}}}}</style>"
    for name, colour in LIGHT.items():
        svg = svg.replace(f": {colour}", f": var(--{name},{colour})")
    head, tag, rest = svg.partition("<defs>")
    return f"{head}{style}{tag}{rest}"
