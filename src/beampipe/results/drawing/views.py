"""What to draw of a histogram: it is brought down to lines, bars or an image, and says how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from beampipe.results.drawing.curves import add_finite
from beampipe.results.histograms import as_hist, is_category, is_profile, read_categories

MAX_LAYERS = 10
MAX_PROJECTIONS = 6
_STACKED_AXES = {"dataset", "datasets", "process", "proc", "sample", "samples"}

Kind = Literal["line", "bars", "image", "nothing"]


@dataclass(frozen=True, slots=True)
class View:
    """One plot of a histogram.

    Attributes
    ----------
    name : str
        The histogram's path, with the axis for one of several projections.
    kind : str
        ``"line"`` (one numeric axis), ``"bars"`` (one category axis), ``"image"`` (two axes), or
        ``"nothing"`` (no bins at all).
    histogram : hist.Hist
        With the one or two axes that are drawn.
    layers : tuple of (str, hist.Hist)
        The same by category or dataset, largest first; empty for a single line.
    stacked : bool
        Whether the layers are parts of a whole.
    legend : str
        What the layers are.
    notes : tuple of str
        What was summed over, chosen or left out.
    source : str
        The histogram's path; `name` if not given.
    """

    name: str
    kind: Kind
    histogram: Any
    layers: tuple[tuple[str, Any], ...] = ()
    stacked: bool = False
    legend: str = ""
    notes: tuple[str, ...] = ()
    source: str = ""

    def __post_init__(self) -> None:
        if not self.source:
            object.__setattr__(self, "source", self.name)


def plan_views(
    name: str, histogram: Any, *, parts: Mapping[str, Any] | None = None
) -> tuple[View, ...]:
    """Decide how a histogram of any dimension is drawn.

    One numeric axis makes a line, layered by a category axis if there is one; two make an image;
    more make one projection each. A category axis that is not drawn is summed over, except where
    it has a category named ``nominal``: summing variations would be wrong, so that one is taken.

    Parameters
    ----------
    name : str
        What to call it.
    histogram : hist.Hist
        Any axes, any storage.
    parts : mapping of str to hist.Hist, optional
        The same histogram per dataset; drawn as a stack where no category axis is in the way.

    Returns
    -------
    tuple of View
        One, or one per numeric axis when there are more than two.
    """
    histogram = as_hist(histogram)
    axes = histogram.axes
    numeric = [i for i, axis in enumerate(axes) if not is_category(axis)]
    categories = [i for i, axis in enumerate(axes) if is_category(axis)]
    if not axes or 0 in axes.extent:
        return (View(name, "nothing", histogram),)
    if not numeric:
        return (_view_categories(name, histogram, categories),)
    if len(numeric) == 2:
        kept, notes = _reduce(histogram, numeric)
        return (View(name, "image", kept, notes=notes),)
    if len(numeric) == 1 and not categories and parts:
        ordered = _order_layers({str(key): as_hist(part) for key, part in parts.items()})
        layers, stacked, notes = _limit_layers(ordered, stacked=True)
        return (View(name, "line", histogram, layers, stacked, "dataset", notes),)
    drawn = numeric[:MAX_PROJECTIONS]
    lead = _choose_lead(histogram, categories)
    views = (_view_line(name, histogram, axis=i, lead=lead) for i in drawn)
    if len(numeric) == 1:
        return tuple(views)
    return tuple(
        replace(view, name=f"{name}.{axis_name(axes[i], i)}")
        for i, view in zip(drawn, views, strict=True)
    )


def axis_name(axis: Any, index: int) -> str:
    """Name an axis: its name, else its label, else its place."""
    return str(axis.name or axis.label or f"axis{index}")


def _view_line(name: str, histogram: Any, *, axis: int, lead: int | None) -> View:
    if lead is None:
        kept, notes = _reduce(histogram, [axis])
        return View(name, "line", kept, notes=notes)
    both, notes = _reduce(histogram, [lead, axis])
    category = both.axes[0]
    parts = {label: both[k, :] for k, label in enumerate(read_categories(category))}
    stacked = str(category.name).lower() in _STACKED_AXES
    layers, stacked, cut = _limit_layers(_order_layers(parts), stacked=stacked)
    whole, _ = _reduce(histogram, [axis])
    return View(name, "line", whole, layers, stacked, axis_name(category, lead), (*notes, *cut))


def _view_categories(name: str, histogram: Any, categories: Sequence[int]) -> View:
    kept, notes = _reduce(histogram, categories[:2])
    return View(name, "bars" if len(categories) == 1 else "image", kept, notes=notes)


def _choose_lead(histogram: Any, categories: Sequence[int]) -> int | None:
    """Choose the category axis for the legend: processes first, variations last."""

    def rank(index: int) -> int:
        axis = histogram.axes[index]
        if str(axis.name).lower() in _STACKED_AXES:
            return 0
        return 2 if _find_nominal(axis) is not None else 1

    return min(categories, key=rank, default=None)


def _find_nominal(axis: Any) -> int | None:
    for index, label in enumerate(read_categories(axis)):
        if label.lower() == "nominal":
            return index
    return None


def _reduce(histogram: Any, keep: Sequence[int]) -> tuple[Any, tuple[str, ...]]:
    """Bring a histogram down to the axes in `keep`, in that order."""
    summed: list[str] = []
    notes: list[str] = []
    chosen: dict[int, int] = {}
    for index, axis in enumerate(histogram.axes):
        if index in keep:
            continue
        nominal = _find_nominal(axis) if is_category(axis) else None
        if nominal is None:
            summed.append(axis_name(axis, index))
        else:
            chosen[index] = nominal
            notes.append(f"{axis_name(axis, index)} = {axis.bin(nominal)}")
    if summed:
        notes.append(f"summed over {', '.join(summed)}")
    left = [index for index in range(histogram.ndim) if index not in chosen]
    picked = histogram[chosen] if chosen else histogram
    return picked.project(*(left.index(index) for index in keep)), tuple(notes)


def _order_layers(parts: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Order layers by size, the largest first; means keep their order."""
    layers = list(parts.items())
    if any(is_profile(part) for _, part in layers):
        return layers
    return sorted(layers, key=lambda layer: -abs(add_finite(layer[1].values())))


def _limit_layers(
    layers: list[tuple[str, Any]], *, stacked: bool
) -> tuple[tuple[tuple[str, Any], ...], bool, tuple[str, ...]]:
    """Keep as many layers as colours; a stack adds the small ones up, lines leave them out."""
    stacked = stacked and not any(is_profile(layer) for _, layer in layers)
    if len(layers) <= MAX_LAYERS:
        return tuple(layers), stacked, ()
    head, tail = layers[: MAX_LAYERS - 1], layers[MAX_LAYERS - 1 :]
    if not stacked:
        return tuple(head), False, (f"{len(tail)} smaller ones are not drawn",)
    other = tail[0][1].copy()
    for _, part in tail[1:]:
        other += part
    return (*head, (f"{len(tail)} others", other)), True, ()
