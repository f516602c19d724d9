"""What an output holds: its leaves by kind, each with the path of keys that leads to it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from numbers import Number
from typing import Any

from beampipe.results.quantities import format_number


@dataclass(frozen=True, slots=True)
class Leaf:
    """One value of a nested output.

    Attributes
    ----------
    path : tuple of str
        The keys from the root; empty when the output is the value itself.
    value : Any
        The value as it was returned.
    """

    path: tuple[str, ...]
    value: Any

    @property
    def name(self) -> str:
        """The path as people read it, ``"muons/mass"``."""
        return "/".join(self.path) or "output"


@dataclass(frozen=True, slots=True)
class Contents:
    """An output's leaves by kind, in the order of the output.

    Attributes
    ----------
    histograms : tuple of Leaf
        hist and boost-histogram objects.
    tables : tuple of Leaf
        Mappings whose values are all numbers, two of them at least.
    scalars : tuple of Leaf
        Single numbers, strings and truth values.
    arrays : tuple of Leaf
        NumPy and Awkward arrays, coffea's column accumulators.
    others : tuple of Leaf
        Everything else: sets, lists, objects of the user.
    """

    histograms: tuple[Leaf, ...] = ()
    tables: tuple[Leaf, ...] = ()
    scalars: tuple[Leaf, ...] = ()
    arrays: tuple[Leaf, ...] = ()
    others: tuple[Leaf, ...] = ()


def sort_contents(output: Any) -> Contents:
    """Sort the leaves of `output` by kind.

    Parameters
    ----------
    output : Any
        What a processor returned, or a sum of that.

    Returns
    -------
    Contents
        Every leaf exactly once.
    """
    kinds: dict[str, list[Leaf]] = {
        "histograms": [],
        "tables": [],
        "scalars": [],
        "arrays": [],
        "others": [],
    }
    for leaf in walk_output(output):
        kinds[_find_kind(leaf.value)].append(leaf)
    return Contents(**{kind: tuple(leaves) for kind, leaves in kinds.items()})


def walk_output(output: Any, path: tuple[str, ...] = ()) -> Iterator[Leaf]:
    """Go through the leaves of `output` in order.

    Mappings, and lists or tuples that hold mappings or histograms, are gone into; a mapping of
    numbers is one leaf, because a cutflow is one thing.
    """
    if isinstance(output, Mapping) and not is_number_table(output):
        for key, value in output.items():
            yield from walk_output(value, (*path, str(key)))
    elif isinstance(output, (list, tuple)) and any(
        isinstance(item, Mapping) or is_histogram(item) for item in output
    ):
        for index, value in enumerate(output):
            yield from walk_output(value, (*path, str(index)))
    elif output is not None:
        yield Leaf(path, unwrap(output))


def follow_path(output: Any, path: tuple[str, ...]) -> Any:
    """Return what lies at a path of keys in mappings; None if nothing does."""
    for key in path:
        found = output.items() if isinstance(output, Mapping) else ()
        output = next((value for name, value in found if str(name) == key), None)
    return output


def is_histogram(value: Any) -> bool:
    """Whether `value` is a histogram of hist or boost-histogram."""
    # A histogram exists only where its library was imported; nothing is imported to find out.
    library = sys.modules.get("boost_histogram")
    return library is not None and isinstance(value, library.Histogram)


def is_number(value: Any) -> bool:
    """Whether `value` is a single real number (a truth value is not)."""
    if isinstance(value, bool) or type(value).__name__ == "bool_":
        return False
    if isinstance(value, Number):
        return not isinstance(value, complex)
    return getattr(value, "shape", None) == () and getattr(value.dtype, "kind", "") in "iuf"


def is_number_table(value: Any) -> bool:
    """Whether `value` is a mapping of two numbers or more, and of nothing else."""
    return (
        isinstance(value, Mapping)
        and len(value) > 1
        and all(is_number(unwrap(item)) for item in value.values())
    )


def unwrap(value: Any) -> Any:
    """Return what a coffea ``value_accumulator`` or ``column_accumulator`` holds, or `value`."""
    if type(value).__name__ in {"value_accumulator", "column_accumulator"}:
        return value.value
    return value


def describe_value(value: Any) -> str:
    """Say in a few words what `value` is, for tables and listings."""
    if is_histogram(value):
        bins = " x ".join(str(len(axis)) for axis in value.axes)
        return f"histogram, {bins or 'no'} bins"
    if is_number(value):
        return format_number(value)
    if is_number_table(value):
        return f"{len(value)} numbers"
    if isinstance(value, str):
        return value if len(value) <= 80 else f"{value[:77]}..."
    if is_array(value):
        return f"array, {describe_array(value)}"
    if isinstance(value, (set, frozenset, list, tuple)):
        return f"{type(value).__name__} of {len(value):,}"
    if isinstance(value, (bool, complex)):
        return str(value)
    return type(value).__name__


def is_array(value: Any) -> bool:
    """Whether `value` is a NumPy or Awkward array."""
    return type(value).__module__.partition(".")[0] in {"numpy", "awkward"} and hasattr(
        value, "__len__"
    )


def describe_array(value: Any) -> str:
    """Say shape and type of an array."""
    if type(value).__module__.startswith("awkward"):
        return str(value.type)
    return f"{' x '.join(str(size) for size in value.shape)} {value.dtype}"


def _find_kind(value: Any) -> str:
    if is_histogram(value):
        return "histograms"
    if is_number_table(value):
        return "tables"
    if is_number(value) or isinstance(value, (str, bool, complex)):
        return "scalars"
    return "arrays" if is_array(value) else "others"
