"""The numbers behind a drawn line or image: edges, values and errors as plain arrays."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from beampipe.results.histograms import is_profile
from beampipe.results.quantities import format_number

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

MAX_BINS = 2000
MAX_IMAGE_BINS = 400
LOG_DYNAMIC_RANGE = 300.0
_NEGLIGIBLE = 0.001
LOG_DECADES = 2.0


@dataclass(frozen=True, slots=True)
class Curve:
    """One line: n bins.

    Attributes
    ----------
    edges : ndarray of float64, shape (n + 1,)
        Finite and rising.
    values : ndarray of float64, shape (n,)
        Sums, or means for a profile; NaN where the histogram holds nothing finite.
    errors : ndarray of float64, shape (n,) or None
        Square roots of the variances; None where the storage does not know them.
    """

    edges: Floats
    values: Floats
    errors: Floats | None

    @property
    def centres(self) -> Floats:
        """Middles of the bins, shape (n,)."""
        return (self.edges[:-1] + self.edges[1:]) / 2


def read_curve(histogram: Any) -> Curve:
    """Read a histogram with one axis, joining bins where there are more than can be seen."""
    import numpy as np  # not at import: `import beampipe` stays light

    edges = _finite_edges(np.asarray(histogram.axes[0].edges, dtype=float))
    values, variances = _read_values(histogram)
    step = -(-len(values) // MAX_BINS)
    if step > 1 and not is_profile(histogram):
        starts = np.arange(0, len(values), step)
        edges = np.append(edges[:-1][starts], edges[-1])
        values = np.add.reduceat(values, starts)
        variances = None if variances is None else np.add.reduceat(variances, starts)
    values = np.where(np.isfinite(values), values, np.nan)
    if variances is None:
        return Curve(edges, values, None)
    errors = np.sqrt(np.where(np.isfinite(variances) & (variances > 0), variances, 0.0))
    return Curve(edges, values, errors)


def read_image(histogram: Any) -> tuple[Floats, Floats, Floats]:
    """Read a histogram with two axes: x edges, y edges, values of shape (y, x)."""
    import numpy as np  # see read_curve

    values, _ = _read_values(histogram)
    edges = [_finite_edges(np.asarray(axis.edges, dtype=float)) for axis in histogram.axes]
    for axis in (0, 1):
        step = -(-values.shape[axis] // MAX_IMAGE_BINS)
        if step > 1 and not is_profile(histogram):
            starts = np.arange(0, values.shape[axis], step)
            edges[axis] = np.append(edges[axis][:-1][starts], edges[axis][-1])
            values = np.add.reduceat(values, starts, axis=axis)
    return edges[0], edges[1], np.where(np.isfinite(values), values, np.nan).T


def _read_values(histogram: Any) -> tuple[Floats, Floats | None]:
    """Read values and variances; empty bins of a profile have no mean."""
    import numpy as np  # see read_curve

    with warnings.catch_warnings():  # means of empty bins divide by zero, and say so in vain
        warnings.simplefilter("ignore", RuntimeWarning)
        values = np.asarray(histogram.values(), dtype=float)
        variances = histogram.variances()
        if is_profile(histogram):
            values = np.where(histogram.counts() > 0, values, np.nan)
    if variances is not None:
        return values, np.asarray(variances, dtype=float)
    # Plain sums forget after an addition whether weights went in. Whole numbers are counts.
    return values, values if _are_counts(values) else None


def _are_counts(values: Floats) -> bool:
    import numpy as np  # see read_curve

    finite = values[np.isfinite(values)]
    return bool((finite >= 0).all() and (finite == np.floor(finite)).all())


def _finite_edges(edges: Floats) -> Floats:
    """Give bins that reach to infinity the width of their neighbour."""
    import numpy as np  # see read_curve

    finite = edges[np.isfinite(edges)]
    if len(finite) == len(edges):
        return edges
    if len(finite) == 0:
        return np.arange(len(edges), dtype=float)
    width = finite[1] - finite[0] if len(finite) > 1 else 1.0
    left = [finite[0] - width] if not np.isfinite(edges[0]) else []
    right = [finite[-1] + width] if not np.isfinite(edges[-1]) else []
    return np.array([*left, *finite, *right])


def without_nan(values: Floats) -> Floats:
    """Put zero where nothing finite is, for drawing."""
    import numpy as np  # see read_curve

    return np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)


def is_empty(curve: Curve, *, profile: bool) -> bool:
    """Whether nothing was filled: all zero, or for a profile no bin with a mean."""
    import numpy as np  # see read_curve

    return not (np.isfinite(curve.values).any() if profile else without_nan(curve.values).any())


def add_finite(values: Any) -> float:
    """Add up what is finite."""
    import numpy as np  # see read_curve

    array = np.asarray(values, dtype=float)
    return float(array[np.isfinite(array)].sum())


def wants_log_x(axis: Any, edges: Floats) -> bool:
    """Whether the x axis is one that was binned for a logarithmic scale."""
    if edges[0] <= 0:
        return False
    if "log" in str(getattr(axis, "transform", "")):
        return True
    spans = edges[-1] / edges[0] > 10**LOG_DECADES
    return bool(spans and (edges[-1] - edges[-2]) > 10 * (edges[1] - edges[0]))


def wants_log_scale(values: Floats) -> bool:
    """Whether the values' range cannot be seen on a linear scale.

    Signed weights leave a few bins slightly below zero, which a logarithmic scale cannot show;
    as long as they hold next to nothing (`describe_flow` counts them), that is no obstacle.
    """
    import numpy as np  # see read_curve

    finite = values[np.isfinite(values)]
    positive = finite[finite > 0]
    negative = -finite[finite < 0].sum()
    if len(positive) < 2 or negative > _NEGLIGIBLE * positive.sum():
        return False
    return bool(positive.max() / np.percentile(positive, 5, method="lower") > LOG_DYNAMIC_RANGE)


def is_weighted(histogram: Any) -> bool:
    """Whether the entries carry weights, as far as the storage tells."""
    import numpy as np  # see read_curve

    if is_profile(histogram):
        return False
    values, variances = _read_values(histogram)
    if variances is None:
        return True
    return not np.allclose(values, variances, equal_nan=True)


def find_unit(label: str) -> str:
    """Find the unit at the end of an axis label, ``"mass [GeV]"``."""
    found = re.search(r"[\[(]\s*([^\[\]()]{1,12}?)\s*[\])]\s*$", label)
    return found.group(1) if found else ""


def count_noun(histogram: Any) -> str:
    """Say what a bin's value is."""
    if is_profile(histogram):
        return "Mean"
    return "Weighted entries" if is_weighted(histogram) else "Entries"


def label_values(histogram: Any, edges: Floats) -> str:
    """Say what the y axis counts, and per what width."""
    import numpy as np  # see read_curve

    noun = count_noun(histogram)
    if is_profile(histogram):
        return noun
    axis = histogram.axes[0]
    widths = np.diff(edges)
    if not np.allclose(widths, widths[0], rtol=1e-6):
        return f"{noun} / bin"
    unit = find_unit(str(axis.label))
    if axis.traits.discrete or (widths[0] == 1 and not unit):
        return noun
    return f"{noun} / {widths[0]:.3g} {unit}".rstrip()


def describe_flow(histogram: Any) -> tuple[str, ...]:
    """Say what lies outside the drawn range, and what is not finite; nothing if nothing."""
    import numpy as np  # see read_curve

    if is_profile(histogram) or histogram.ndim != 1 or 0 in histogram.axes.extent:
        return ()
    notes = []
    traits = histogram.axes[0].traits
    with_flow = np.asarray(histogram.values(flow=True), dtype=float)
    if traits.underflow and with_flow[0]:
        notes.append(f"{format_number(with_flow[0])} below")
    if traits.overflow and with_flow[-1]:
        where = "in no category" if not traits.ordered else "above"
        notes.append(f"{format_number(with_flow[-1])} {where}")
    below_zero = int((np.asarray(histogram.values(), dtype=float) < 0).sum())
    if below_zero:
        notes.append(f"{below_zero} bin{'s' if below_zero > 1 else ''} below zero")
    broken = int((~np.isfinite(np.asarray(histogram.values(), dtype=float))).sum())
    if broken:
        notes.append(f"{broken} bin{'s' if broken > 1 else ''} not finite")
    return tuple(notes)
