"""Histograms along one numeric axis: filled line, stack, overlay, or points of a profile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from beampipe.results.drawing import curves
from beampipe.results.drawing.curves import Curve
from beampipe.results.drawing.lettering import (
    one_line,
    write_axis_label,
    write_decades,
    write_empty,
    write_legend,
    write_plain_decades,
    write_ticks,
)
from beampipe.results.drawing.palette import LIGHT, SERIES
from beampipe.results.histograms import is_profile

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from beampipe.results.drawing.views import View

_MAX_ERROR_BARS = 80
_MOST_DECADES = 1e-8  # of a logarithmic scale: one tiny weight must not flatten the rest
_MAX_INTEGER_TICKS = 20


def draw_line(axes: Axes, view: View) -> None:
    """Draw a view of kind ``"line"``.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Empty.
    view : View
        Its histogram has one numeric axis.
    """
    curve = curves.read_curve(view.histogram)
    profile = is_profile(view.histogram)
    if view.layers and view.stacked:
        _draw_stack(axes, view, curve)
    elif view.layers:
        _draw_overlay(axes, view)
    elif profile:
        _draw_points(axes, curve, SERIES[0], "")
    else:
        _draw_filled(axes, curve)
    write_ticks(axes.yaxis)
    legend = _write_layers(axes, view) if view.layers else 0.0
    _scale_x(axes, view.histogram.axes[0], curve)
    _scale_y(axes, _list_heights(view, curve), profile=profile, headroom=legend)
    write_axis_label(axes.yaxis, curves.label_values(view.histogram, curve.edges))
    if curves.is_empty(curve, profile=profile):
        write_empty(axes)


def draw_nothing(axes: Axes, view: View) -> None:
    """Draw a view of kind ``"nothing"``: a histogram without bins."""
    del view
    axes.set_axis_off()
    write_empty(axes)


def _draw_filled(axes: Axes, curve: Curve) -> None:
    import mplhep  # with matplotlib 0.5 s: not at import

    values = curves.without_nan(curve.values)
    style = {"ax": axes, "color": SERIES[0], "flow": "none"}
    mplhep.histplot(values, curve.edges, histtype="fill", alpha=0.22, **style)
    mplhep.histplot(values, curve.edges, histtype="step", lw=1.3, **style)
    _draw_errors(axes, curve, SERIES[0])


def _draw_stack(axes: Axes, view: View, total: Curve) -> None:
    import mplhep  # see _draw_filled

    parts = [curves.read_curve(part) for _, part in view.layers]
    mplhep.histplot(  # the largest at the bottom
        [curves.without_nan(part.values) for part in parts],
        total.edges,
        ax=axes,
        stack=True,
        histtype="fill",
        label=[one_line(name) for name, _ in view.layers],
        color=list(SERIES[: len(parts)]),
        flow="none",
    )
    axes.stairs(curves.without_nan(total.values), total.edges, color=LIGHT["ink"], lw=0.8)
    _draw_errors(axes, total, LIGHT["ink"])


def _draw_overlay(axes: Axes, view: View) -> None:
    import mplhep  # see _draw_filled

    for (name, histogram), colour in zip(view.layers, SERIES, strict=False):
        curve = curves.read_curve(histogram)
        if is_profile(histogram):
            _draw_points(axes, curve, colour, one_line(name))
            continue
        mplhep.histplot(
            curves.without_nan(curve.values),
            curve.edges,
            ax=axes,
            histtype="step",
            label=one_line(name),
            color=colour,
            lw=1.4,
            flow="none",
        )
        _draw_errors(axes, curve, colour)


def _write_layers(axes: Axes, view: View) -> float:
    """Name the layers as they lie: of a stack the topmost first."""
    names = [one_line(name) for name, _ in view.layers]
    return write_legend(axes, view.legend, names[::-1] if view.stacked else names)


def _draw_points(axes: Axes, curve: Curve, colour: str, label: str) -> None:
    many = len(curve.values) > _MAX_ERROR_BARS
    axes.errorbar(
        curve.centres,
        curve.values,
        yerr=curve.errors,
        xerr=None if many else (curve.edges[1:] - curve.edges[:-1]) / 2,
        fmt="o",
        ms=2 if many else 3.5,
        color=colour,
        elinewidth=1,
        label=label,
    )


def _draw_errors(axes: Axes, curve: Curve, colour: str) -> None:
    """Draw the errors: bars where there is room for them, else a band."""
    if curve.errors is None or not curve.errors.any():
        return
    values = curves.without_nan(curve.values)
    if len(values) > _MAX_ERROR_BARS:
        low, high = values - curve.errors, values + curve.errors
        style: dict[str, Any] = {"fill": True, "color": colour, "alpha": 0.35, "lw": 0}
        axes.stairs(high, curve.edges, baseline=low, **style)
        return
    seen = curve.errors > 0
    axes.errorbar(
        curve.centres[seen],
        values[seen],
        curve.errors[seen],
        fmt="none",
        ecolor=colour,
        elinewidth=1,
    )


def _scale_x(axes: Axes, axis: Any, curve: Curve) -> None:
    write_ticks(axes.xaxis)
    write_axis_label(axes.xaxis, str(axis.label or axis.name or ""))
    if curves.wants_log_x(axis, curve.edges):
        axes.set_xscale("log")
        write_decades(axes.xaxis)
        write_plain_decades(axes.xaxis, curve.edges)
    axes.set_xlim(curve.edges[0], curve.edges[-1])
    if axis.traits.discrete and len(axis) <= _MAX_INTEGER_TICKS:
        axes.set_xticks(curve.centres, [f"{edge:g}" for edge in curve.edges[:-1]])


def _list_heights(view: View, curve: Curve) -> Any:
    """List the finite values of what is drawn, and where their errors end."""
    import numpy as np  # comes with matplotlib

    drawn = [curve]
    if view.layers and not view.stacked:
        drawn = [curves.read_curve(histogram) for _, histogram in view.layers]
    ends = [line.values + line.errors for line in drawn if line.errors is not None]
    values = np.concatenate([*(line.values for line in drawn), *ends])
    return values[np.isfinite(values)]


def _scale_y(axes: Axes, finite: Any, *, profile: bool, headroom: float) -> None:
    """Scale the y axis so that a share `headroom` of it stays free at the top."""
    room = 1 / (1 - headroom)
    if not len(finite):
        axes.set_ylim(0, 1)
    elif profile:
        low, high = axes.get_ylim()
        axes.set_ylim(low, low + (high - low) * room)
    elif curves.wants_log_scale(finite):
        high = finite.max() * 1.5
        low = max(finite[finite > 0].min() / 2, high * _MOST_DECADES)
        axes.set_yscale("log")
        axes.set_ylim(low, low * (high / low) ** (room * 1.02))
        write_decades(axes.yaxis)
    else:
        low, high = min(0.0, finite.min() * 1.1), max(0.0, finite.max() * 1.1)
        axes.set_ylim(low, (low + (high - low) * room) or 1)
