"""Cutflows: dictionaries of numbers that only ever get smaller, with their efficiencies."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from beampipe.results.contents import Leaf, follow_path, is_number, unwrap


@dataclass(frozen=True, slots=True)
class Cut:
    """One step of a cutflow.

    Attributes
    ----------
    name : str
        What was asked for.
    count : float
        Events, or the sum of their weights, that passed it and everything before it.
    of_previous, of_first : float or None
        Efficiencies; None where the denominator is not above zero.
    """

    name: str
    count: float
    of_previous: float | None
    of_first: float | None


@dataclass(frozen=True, slots=True)
class Cutflow:
    """A cutflow of the summed output, and the same per dataset.

    Attributes
    ----------
    name : str
        Path in the output.
    cuts : tuple of Cut
        In the processor's order.
    by_dataset : dict of str to dict of str to float
        Counts per dataset; a cut that a dataset does not have is not there.
    """

    name: str
    cuts: tuple[Cut, ...]
    by_dataset: Mapping[str, Mapping[str, float]]


def find_cutflows(
    tables: Iterable[Leaf], by_dataset: Mapping[str, Any]
) -> tuple[list[Cutflow], list[Leaf]]:
    """Tell cutflows from other tables of numbers.

    A table is a cutflow when its path says so (``cut`` or ``flow``), or when its numbers never
    rise and none is negative; one whose keys are the datasets is not.

    Parameters
    ----------
    tables : iterable of Leaf
        Mappings of numbers from the summed output.
    by_dataset : mapping of str to Any
        The outputs per dataset.

    Returns
    -------
    cutflows : list of Cutflow
    rest : list of Leaf
        The tables that are none.
    """
    cutflows: list[Cutflow] = []
    rest: list[Leaf] = []
    for leaf in tables:
        counts = _read_counts(leaf.value)
        if not is_cutflow(leaf.name, counts, datasets=by_dataset):
            rest.append(leaf)
            continue
        cutflows.append(Cutflow(leaf.name, read_cuts(counts), _find_parts(leaf, by_dataset)))
    return cutflows, rest


def is_cutflow(name: str, counts: Mapping[str, float], *, datasets: Iterable[str] = ()) -> bool:
    """Whether the numbers read as a cutflow."""
    if set(counts) <= set(datasets):
        return False
    lower = name.lower()
    if "cut" in lower or "flow" in lower:
        return True
    numbers = list(counts.values())
    falls = all(after <= before for before, after in pairwise(numbers))
    return falls and min(numbers) >= 0


def read_cuts(counts: Mapping[str, float]) -> tuple[Cut, ...]:
    """Put the efficiencies beside the counts."""
    numbers = list(counts.values())
    previous = [None, *numbers[:-1]]
    return tuple(
        Cut(name, count, _divide(count, before), _divide(count, numbers[0]))
        for (name, count), before in zip(counts.items(), previous, strict=True)
    )


def _divide(count: float, whole: float | None) -> float | None:
    if whole is None or not whole > 0 or not math.isfinite(count):
        return None
    return count / whole


def _read_counts(table: Mapping[Any, Any]) -> dict[str, float]:
    return {str(key): float(unwrap(value)) for key, value in table.items()}


def _find_parts(leaf: Leaf, by_dataset: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    parts = {name: follow_path(output, leaf.path) for name, output in by_dataset.items()}
    return {
        name: _read_counts(part)
        for name, part in parts.items()
        if isinstance(part, Mapping) and all(is_number(unwrap(value)) for value in part.values())
    }
