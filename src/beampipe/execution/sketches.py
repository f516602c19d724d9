"""The first histogram of a partial, in a few numbers: for a glance while the run goes on.

A sketch travels with a bundle's summary, so it is there as soon as the bundle is, and it costs
no value its way. It is for the eye alone: nothing is computed from it, and what is thrown away
and done again is in it twice.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from beampipe.execution.outputs import is_histogram

_BARS = " ▁▂▃▄▅▆▇█"
_MOST_GROUPS = 24
# Adding up the other axes of anything larger takes longer than a glance is worth.
_MOST_BINS = 1_000_000
_DEEPEST = 4
# A class of the user's may do anything; for want of a picture no bundle is lost.
_TROUBLE = (
    *(ArithmeticError, AttributeError, LookupError, MemoryError),
    *(RuntimeError, TypeError, ValueError),
)


@dataclass(frozen=True, slots=True)
class Sketch:
    """Counts of neighbouring bins, added up.

    Attributes
    ----------
    name : str
        Where the histogram is in the output: ``"muons/mass"``.
    counts : tuple of float
        24 groups of bins at most, along one axis; without what is under and over it.
    """

    name: str
    counts: tuple[float, ...]

    def draw(self) -> str:
        """The counts as a line of blocks; the highest is a full one."""
        highest = max(self.counts, default=0.0)
        if highest <= 0:
            return ""
        steps = [round(8 * max(count, 0.0) / highest) for count in self.counts]
        # What is there is seen, however little it is.
        return "".join(
            _BARS[max(step, 1) if count > 0 else 0]
            for step, count in zip(steps, self.counts, strict=True)
        )


def sketch_output(output: Any) -> Sketch | None:
    """Sketch the first histogram in an output that is one of counts along a fixed axis."""
    with contextlib.suppress(*_TROUBLE):
        for name, histogram in _walk(output):
            axis = _find_axis(histogram)
            if axis is not None:
                return Sketch(name, _count_along(histogram, axis))
    return None


def add_sketches(one: Sketch | None, other: Sketch | None) -> Sketch | None:
    """Add two; of different histograms (another dataset's output may differ) the first stays."""
    if one is None or other is None:
        return one or other
    if one.name != other.name or len(one.counts) != len(other.counts):
        return one
    return Sketch(one.name, tuple(a + b for a, b in zip(one.counts, other.counts, strict=True)))


def _walk(output: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    if is_histogram(output):
        yield "/".join(path), output
    elif isinstance(output, Mapping) and len(path) < _DEEPEST:
        for key, value in output.items():
            yield from _walk(value, (*path, str(key)))


def _find_axis(histogram: Any) -> int | None:
    """The first axis along which neighbours mean something; None where a sketch would mislead."""
    is_of_counts = getattr(histogram.kind, "name", "") == "COUNT"
    if not is_of_counts or histogram.size > _MOST_BINS:
        return None
    for number, axis in enumerate(histogram.axes):
        traits = axis.traits
        if traits.ordered and not traits.growth and len(axis) > 1:
            return number
    return None


def _count_along(histogram: Any, axis: int) -> tuple[float, ...]:
    others = tuple(i for i in range(histogram.ndim) if i != axis)
    counts = np.asarray(histogram.values(), dtype=float).sum(axis=others)
    starts = np.linspace(0, len(counts), min(len(counts), _MOST_GROUPS), endpoint=False)
    return tuple(map(float, np.add.reduceat(counts, starts.astype(int))))
