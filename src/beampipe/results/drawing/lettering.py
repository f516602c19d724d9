"""Words on a plot: names are shown as they are, mathematics only in axis labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from beampipe.results.drawing.palette import LIGHT
from beampipe.results.quantities import format_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

_MAX_TITLE = 50
_MAX_LINE = 160
_MAX_NAME = 30
_SHORT_NAME = 14
_PLAIN_RANGE = (1e-3, 1e5)
_LEGEND_ROW = 0.072
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def write_title(axes: Axes, name: str, notes: Sequence[str]) -> None:
    """Write a histogram's name above the axes, and the notes small below it."""
    line = one_line(name)
    if len(line) > _MAX_TITLE:
        half = _MAX_TITLE // 2
        line = f"{line[:half]}…{line[-half:]}"
    axes.set_title(line, loc="left", parse_math=False, pad=22 if notes else 9)
    if notes:
        axes.annotate(
            one_line("; ".join(notes)),
            (0, 1),
            xytext=(0, 8),
            xycoords="axes fraction",
            textcoords="offset points",
            fontsize=8.5,
            color=LIGHT["muted"],
            parse_math=False,
        )


def write_axis_label(axis: Axis, text: str) -> None:
    """Write an axis label, with its mathematics where it is valid."""
    label = axis.set_label_text(one_line(text))
    label.set_parse_math(is_math(text))


def write_categories(axis: Axis, places: Any, labels: Sequence[str]) -> None:
    """Write category names at their places, as they are."""
    short = [label if len(label) <= 28 else f"{label[:26]}…" for label in map(one_line, labels)]
    axis.set_ticks(places, short)
    for text in axis.get_ticklabels():
        text.set_parse_math(False)
    axis.set_tick_params(length=0)


def write_legend(axes: Axes, title: str, order: Sequence[str]) -> float:
    """Write the legend inside the axes, at the top, where `draw_line` leaves room for it.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        With labelled lines or areas.
    title : str
        What they are.
    order : sequence of str
        The labels from the top of the legend down.

    Returns
    -------
    float
        The share of the axes' height that it takes.
    """
    handles, labels = axes.get_legend_handles_labels()
    ranked = sorted(zip(labels, handles, strict=True), key=lambda pair: order.index(pair[0]))
    handles = [handle for _, handle in ranked]
    names = [name if len(name) <= _MAX_NAME else f"{name[: _MAX_NAME - 1]}…" for name, _ in ranked]
    columns = 1 if len(names) <= 3 else 3 if max(map(len, names)) <= _SHORT_NAME else 2
    legend = axes.legend(
        handles,
        names,
        title=one_line(title),
        loc="upper right",
        ncols=columns,
        alignment="left",
        handlelength=1.2,
        columnspacing=1.2,
        borderaxespad=0.2,
    )
    legend.get_title().set_color(LIGHT["muted"])
    for text in (*legend.get_texts(), legend.get_title()):
        text.set_parse_math(False)
    return _LEGEND_ROW * (1 - -len(names) // columns)


def write_empty(axes: Axes) -> None:
    """Say on the plot that there is nothing on it."""
    axes.text(0.5, 0.5, "no entries", transform=axes.transAxes, ha="center", color=LIGHT["muted"])


def write_ticks(axis: Axis) -> None:
    """Write numbers at the ticks of a linear axis; a common power of ten stands at its end.

    matplotlib would set every number as mathematics, which takes longer than all the rest.
    """
    from matplotlib.ticker import ScalarFormatter  # not at import

    class PlainTicks(ScalarFormatter):
        def get_offset(self) -> str:
            _, e, power = super().get_offset().replace("\N{MINUS SIGN}", "-").partition("e")
            return f"× 10{power.translate(_SUPERSCRIPTS)}" if e else ""

    axis.set_major_formatter(PlainTicks(useOffset=False, useMathText=False))
    axis.get_offset_text().set_horizontalalignment("right")  # out of the way of the title


def write_decades(axis: Axis) -> None:
    """Write powers of ten at the ticks of a logarithmic axis."""
    from matplotlib.ticker import FuncFormatter, NullFormatter  # not at import

    def write(value: float, _: object) -> str:
        if value <= 0:
            return ""
        power = round(math.log10(value))
        if not math.isclose(value, 10.0**power, rel_tol=1e-6):
            return f"{value:.3g}"
        return f"10{str(power).translate(_SUPERSCRIPTS)}"

    axis.set_major_formatter(FuncFormatter(write))
    axis.set_minor_formatter(NullFormatter())


def write_plain_decades(axis: Axis, edges: Any) -> None:
    """Write 0.5, 1, 20 for a few decades of everyday numbers; powers of ten read worse."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter  # not at import

    if edges[0] < _PLAIN_RANGE[0] or edges[-1] > _PLAIN_RANGE[1]:
        return
    few = edges[-1] / edges[0] < 1e3
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if few else (1,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: format_number(value)))
    axis.set_minor_locator(LogLocator(subs=range(2, 10)))
    axis.set_minor_formatter(NullFormatter())


def one_line(text: str) -> str:
    """Bring a name into one printable line."""
    line = "".join(c if c.isprintable() else " " for c in str(text))
    return line if len(line) <= _MAX_LINE else f"{line[: _MAX_LINE - 1]}…"


def is_math(text: str) -> bool:
    """Whether matplotlib can set the text as mathematics; a lone dollar is only a dollar."""
    from matplotlib.mathtext import MathTextParser  # not at import

    if text.count("$") < 2:
        return False
    try:
        MathTextParser("path").parse(text)
    except ValueError:
        return False
    return True
