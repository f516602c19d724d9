"""Histograms over categories as bars, and over two axes as an image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from beampipe.results.drawing import curves
from beampipe.results.drawing.lettering import (
    write_axis_label,
    write_categories,
    write_decades,
    write_empty,
    write_plain_decades,
    write_ticks,
)
from beampipe.results.drawing.palette import LIGHT, SERIES
from beampipe.results.histograms import is_category, read_categories

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from beampipe.results.drawing.views import View

_MAX_NAMED = 30
_MAX_UPRIGHT = 40


def draw_bars(axes: Axes, view: View) -> None:
    """Draw a view of kind ``"bars"``: lying, because names are read that way."""
    import numpy as np  # comes with matplotlib

    axis = view.histogram.axes[0]
    curve = curves.read_curve(view.histogram)
    values = curves.without_nan(curve.values)
    places = np.arange(len(values))
    axes.barh(places, values, color=SERIES[0], alpha=0.85, height=0.72)
    if curve.errors is not None and curve.errors.any():
        style: dict[str, Any] = {"fmt": "none", "ecolor": LIGHT["ink"], "elinewidth": 1}
        axes.errorbar(values, places, xerr=curve.errors, **style)
    if len(axis) == len(values) <= _MAX_NAMED:
        write_categories(axes.yaxis, places, read_categories(axis))
    axes.set_ylim(len(values) - 0.4, -0.6)
    write_axis_label(axes.yaxis, str(axis.label or axis.name or ""))
    write_axis_label(axes.xaxis, curves.count_noun(view.histogram))
    if curves.wants_log_scale(curve.values):
        axes.set_xscale("log")
        write_decades(axes.xaxis)
    else:
        write_ticks(axes.xaxis)
    if not values.any():
        write_empty(axes)


def draw_image(axes: Axes, view: View) -> None:
    """Draw a view of kind ``"image"``; bins without entries stay blank."""
    import numpy as np  # comes with matplotlib
    from matplotlib.colors import LogNorm  # not at import

    x_edges, y_edges, values = curves.read_image(view.histogram)
    seen = np.ma.masked_where(~np.isfinite(values) | (values == 0), values)
    norm = LogNorm() if curves.wants_log_scale(values.ravel()) else None
    # pcolormesh and not mplhep.hist2dplot: that one makes the axes pyplot's current ones
    mesh = axes.pcolormesh(x_edges, y_edges, seen, cmap="viridis", norm=norm, rasterized=True)
    x_axis, y_axis = view.histogram.axes
    _scale_side(axes, "x", x_axis, x_edges)
    _scale_side(axes, "y", y_axis, y_edges)
    if is_category(x_axis) and sum(map(len, read_categories(x_axis))) > _MAX_UPRIGHT:
        axes.tick_params(axis="x", labelrotation=40)
    if seen.count() == 0:
        write_empty(axes)
        return
    bar = axes.figure.colorbar(mesh, ax=axes, pad=0.02)
    (write_ticks if norm is None else write_decades)(bar.ax.yaxis)
    write_axis_label(bar.ax.yaxis, curves.count_noun(view.histogram))
    bar.outline.set_visible(False)


def _scale_side(axes: Axes, which: str, axis: Any, edges: Any) -> None:
    side = axes.xaxis if which == "x" else axes.yaxis
    write_axis_label(side, str(axis.label or axis.name or ""))
    if is_category(axis):
        if len(axis) == len(edges) - 1 <= _MAX_NAMED:
            write_categories(side, (edges[:-1] + edges[1:]) / 2, read_categories(axis))
        return
    write_ticks(side)
    if curves.wants_log_x(axis, edges):
        (axes.set_xscale if which == "x" else axes.set_yscale)("log")
        write_decades(side)
        write_plain_decades(side, edges)
