"""Plots as images inside the page, each with a text that says what is on it."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from beampipe.results.drawing.curves import add_finite
from beampipe.results.drawing.views import View, axis_name
from beampipe.results.histograms import is_profile
from beampipe.results.plots import describe_view, plan_plots, render_png, render_svg
from beampipe.results.quantities import format_number

MAX_FIGURES = 500
_MAX_SVG_BYTES = 300_000


@dataclass(frozen=True, slots=True)
class PageFigure:
    """One plot on the page.

    Attributes
    ----------
    name : str
        The histogram's path.
    source : str
        A data URL: SVG that follows the reader's scheme, or PNG where that is smaller.
    themed : bool
        Whether the image follows the reader's scheme; one that does not has a white ground.
    alt : str
        What is on it, in a sentence.
    caption : str
        Numbers and notes.
    """

    name: str
    source: str
    themed: bool
    alt: str
    caption: str


def draw_figures(output: Any, by_dataset: Mapping[str, Any]) -> tuple[list[PageFigure], list[str]]:
    """Draw every histogram of an output for the page.

    Parameters
    ----------
    output : Any
        The summed output.
    by_dataset : mapping of str to Any
        The outputs per dataset.

    Returns
    -------
    figures : list of PageFigure
        At most `MAX_FIGURES`.
    left_out : list of str
        Names of the plots beyond that.
    """
    views = plan_plots(output, by_dataset)
    figures = [_draw_figure(view) for view in views[:MAX_FIGURES]]
    return figures, [view.name for view in views[MAX_FIGURES:]]


def _draw_figure(view: View) -> PageFigure:
    svg = render_svg(view, title=False).encode()
    themed = len(svg) <= _MAX_SVG_BYTES
    if themed:
        source = f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"
    else:
        png = render_png(view, title=False)
        source = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    caption = [_count_entries(view), *describe_view(view)]
    return PageFigure(
        view.name, source, themed, _describe_picture(view), "; ".join(filter(None, caption))
    )


def _count_entries(view: View) -> str:
    if view.kind == "nothing":
        return "no bins"
    if is_profile(view.histogram):
        return f"means of {format_number(add_finite(view.histogram.counts()))} entries"
    return f"sum {format_number(add_finite(view.histogram.values()))} in range"


def _describe_picture(view: View) -> str:
    """Say in a sentence what a reader would see."""
    axes = view.histogram.axes
    labels = " and ".join(axis.label or axis_name(axis, i) for i, axis in enumerate(axes))
    kinds = {"line": "Histogram", "bars": "Bar chart", "image": "Two-dimensional histogram"}
    if view.kind == "nothing":
        return f"{view.name}: a histogram without bins."
    text = f"{kinds[view.kind]} {view.name} over {labels}, {_count_entries(view)}"
    if view.layers:
        how = "stacked" if view.stacked else "overlaid"
        text += f", {how} by {view.legend}: {', '.join(name for name, _ in view.layers)}"
    return f"{text}."
