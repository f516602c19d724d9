"""Adding what a processor returns, as coffea adds it, and refusing what cannot be added.

The semantics are those of ``coffea.processor.accumulator.add`` and ``iadd`` (mappings key by
key, sets by union, everything else by its own ``+``), with these differences, each because
coffea's way loses or doubles something, or depends on the order in which chunks arrive:

* ``Counter`` keeps zero and negative counts (its own ``+`` drops them between two chunks, so
  that signed weights come out different for every merging order).
* coffea's ``dict_accumulator`` may hold anything that can be added, not only what has an
  ``identity()``; ``frozenset`` is a set.
* Arrays of different shapes are refused instead of broadcast (one selected event in one chunk
  would be added to every event of another); so is a number added to a histogram.
* Awkward arrays and integer arrays that meet floats are added afresh, where ``+=`` raises.
* Nothing in a sum is shared with an input, nor twice within the sum.
"""

from __future__ import annotations

import copy
import operator
from collections import deque
from collections.abc import Iterator, MutableMapping, MutableSet
from typing import Any

import numpy as np

from beampipe.errors import AccumulationError, ProcessorOutputError
from beampipe.execution.outputs import (
    Path,
    approximate_bytes,
    describe_output,
    is_addable,
    is_awkward,
    is_histogram,
    is_instance_of,
    is_set,
    is_tree,
    path_text,
    type_text,
)

__all__ = [
    "add_into",
    "add_outputs",
    "approximate_bytes",
    "check_output",
    "copy_output",
    "describe_output",
    "shares_state",
    "take_output",
]

# What a user's own ``__add__`` raises when it cannot; MemoryError and friends pass.
ADDING_ERRORS = (
    TypeError,
    ValueError,
    AttributeError,
    LookupError,
    ArithmeticError,
    AssertionError,
    NotImplementedError,
    RuntimeError,
)
_ATOMS = frozenset({int, float, complex, bool, str, bytes, type(None)})
_STRUCTURE_FIX = "let the processor return the same structure, types and axes for every chunk"
_GROWTH_FIX = (
    "leave out growth=True on axes of numbers: they end elsewhere in every chunk; give them "
    "limits, and the overflow bins catch what lies outside (categories and integers may grow)"
)
_ADDABLE_HINT = (
    "return numbers, strings, lists, sets, NumPy or Awkward arrays, histograms, coffea "
    "accumulators, objects with __add__, or dictionaries of these"
)


# -- checking ---------------------------------------------------------------


def check_output(value: Any) -> None:
    """Refuse what could not be added to the next chunk's output.

    Raises
    ------
    ProcessorOutputError
        ``processor-output``: names the key path and the type.
    """
    if value is None:
        raise ProcessorOutputError(
            "The processor returned None.",
            why="its last statement returns nothing, so there is nothing to add up",
            fix=f"end it with `return`: {_ADDABLE_HINT}",
        )
    _check(value, (), ())


def _check(value: Any, path: Path, above: tuple[int, ...]) -> None:
    if is_tree(value):
        if id(value) in above:
            raise ProcessorOutputError(
                f"{path_text(path)} contains itself.",
                why="a dictionary that holds itself has no end to add up to",
                fix="return a plain tree of dictionaries",
                path=path_text(path),
            )
        for key, item in value.items():
            _check(item, (*path, key), (*above, id(value)))
    elif not is_addable(value) and not is_set(value):
        raise ProcessorOutputError(
            f"{path_text(path)} is of type {type_text(value)}, which cannot be added.",
            why="the outputs of all chunks are added up, and this type has no +",
            fix=_ADDABLE_HINT,
            path=path_text(path),
            type=type_text(value),
        )


# -- adding -----------------------------------------------------------------


def add_outputs(left: Any, right: Any) -> Any:
    """Add two outputs into a fresh one; the inputs stay as they are.

    Parameters
    ----------
    left, right : Any
        Outputs of a processor, or sums of them.

    Returns
    -------
    Any
        Shares no mutable object with the inputs, and holds none twice.

    Raises
    ------
    AccumulationError
        ``output-not-addable``: names the key path, both types and the reason.
    """
    return _add(left, right, ())


def add_into(left: Any, right: Any) -> Any:
    """Add `right` to `left`, in place where the type of `left` can.

    `left` must be the caller's own: something that `take_output`, `copy_output` or
    `add_outputs` returned. After an error it may be half changed; throw it away.

    Returns
    -------
    Any
        The sum: `left` itself, or something new where `left` cannot be changed.

    Raises
    ------
    AccumulationError
        ``output-not-addable``: names the key path, both types and the reason.
    """
    return _add_into(left, right, ())


def _add(left: Any, right: Any, path: Path) -> Any:
    if is_tree(left) and is_tree(right):
        out = _empty_like(left, right, path)
        for key, item in left.items():
            out[key] = _add(item, right[key], (*path, key)) if key in right else copy_output(item)
        for key, item in right.items():
            if key not in left:
                out[key] = copy_output(item)
        return out
    if is_set(left) and is_set(right):
        union = copy.copy(left)  # a subclass stays one, which `left | right` does not promise
        union |= right
        return union
    return _add_leaves(left, right, path)


def _add_into(left: Any, right: Any, path: Path) -> Any:
    if is_tree(left) and is_tree(right):
        if not isinstance(right, type(left)):
            return _add(left, right, path)
        for key, item in right.items():
            left[key] = (
                _add_into(left[key], item, (*path, key)) if key in left else copy_output(item)
            )
        return left
    if isinstance(left, MutableSet) and is_set(right):
        left |= right
        return left
    if type(left) is list and isinstance(right, list):
        left.extend(_detached(right))
        return left
    if is_histogram(left) and is_histogram(right):
        return _guarded(operator.iadd, left, right, path)
    if _adds_in_place(left, right):
        left += right
        return left
    return _add(left, right, path)


def _add_leaves(left: Any, right: Any, path: Path) -> Any:
    if not (is_addable(left) and is_addable(right)) or is_tree(left) or is_tree(right):
        raise _not_addable(left, right, path, "one of the two cannot be added to the other")
    if reason := _why_not(left, right):
        raise _not_addable(left, right, path, reason)
    if isinstance(left, (list, tuple, deque)):
        left, right = _detached(left), _detached(right)
    total = _guarded(operator.add, left, right, path)
    # A user's `+` may hand back one of its operands: "if the other is empty, I am the sum".
    return copy.deepcopy(total) if total is left or total is right else total


def _guarded(operation: Any, left: Any, right: Any, path: Path) -> Any:
    try:
        return operation(left, right)
    except ADDING_ERRORS as error:
        reason = _why_histograms_differ(left, right) or str(error) or type(error).__name__
        raise _not_addable(left, right, path, reason) from error


def _adds_in_place(left: Any, right: Any) -> bool:
    """Tell whether ``left += right`` on arrays does what ``left + right`` would."""
    return (
        type(left) is np.ndarray
        and type(right) is np.ndarray
        and left.ndim > 0
        and left.shape == right.shape
        and left.flags.writeable
        and left.dtype.names is None
        and np.result_type(left, right) == left.dtype
        # bool + bool is "or" either way; datetimes and objects take the general road.
        and left.dtype.kind in "biufc"
    )


def _why_not(left: Any, right: Any) -> str:
    """Say why two addable things must not be added although ``+`` might answer."""
    if isinstance(left, np.ndarray) and isinstance(right, np.ndarray):
        if left.shape != right.shape and left.ndim and right.ndim:
            return (
                f"arrays of shapes {left.shape} and {right.shape}; arrays are added element by "
                "element, use a list or coffea's column_accumulator to append"
            )
    elif is_instance_of(left, "awkward", "Array") and is_instance_of(right, "awkward", "Array"):
        if len(left) != len(right):
            return (
                f"Awkward arrays of {len(left)} and {len(right)} entries; they are added element "
                "by element, use coffea's column_accumulator to append"
            )
    elif is_histogram(left) != is_histogram(right):
        other = right if is_histogram(left) else left
        if not (isinstance(other, (int, float)) and other == 0):
            return "a histogram can only be added to a histogram"
    return ""


def _why_histograms_differ(left: Any, right: Any) -> str:
    """Name the first difference between two histograms, or nothing."""
    if not (is_histogram(left) and is_histogram(right)):
        return ""
    if left.storage_type is not right.storage_type:
        names = left.storage_type.__name__, right.storage_type.__name__
        return f"storages {names[0]} and {names[1]}"
    if left.ndim != right.ndim:
        return f"{left.ndim} axes and {right.ndim} axes"
    for number, (one, two) in enumerate(zip(left.axes, right.axes, strict=True)):
        if one != two:
            detail = "" if repr(one) != repr(two) else " (their metadata or exact edges differ)"
            return f"axis {number} is {one!r} on one side and {two!r} on the other{detail}"
    return ""


def _grew_apart(left: Any, right: Any) -> bool:
    """Whether an axis of numbers grew with the data, so that it ends elsewhere in each chunk."""
    if not (is_histogram(left) and is_histogram(right)) or left.ndim != right.ndim:
        return False
    return any(
        one != two and (one.traits.growth or two.traits.growth) and one.traits.ordered
        for one, two in zip(left.axes, right.axes, strict=True)
    )


def _not_addable(left: Any, right: Any, path: Path, reason: str) -> AccumulationError:
    names = type_text(left), type_text(right)
    return AccumulationError(
        f"{path_text(path)} cannot be added: {names[0]} and {names[1]}.",
        why=reason,
        fix=_GROWTH_FIX if _grew_apart(left, right) else _STRUCTURE_FIX,
        path=path_text(path),
        left_type=names[0],
        right_type=names[1],
    )


def _empty_like(
    left: MutableMapping[Any, Any], right: MutableMapping[Any, Any], path: Path
) -> MutableMapping[Any, Any]:
    """Make an empty mapping of the more general type of the two, as coffea does."""
    if isinstance(right, type(left)):
        return _emptied(left)
    if isinstance(left, type(right)):
        return _emptied(right)
    raise _not_addable(left, right, path, "mappings of unrelated types")


def _emptied(value: MutableMapping[Any, Any]) -> MutableMapping[Any, Any]:
    # The signature of the type's constructor is unknown, so: a shallow copy, cleared.
    out = copy.copy(value)
    out.clear()
    return out


def _detached(items: Any) -> Any:
    """Give back a sequence whose mutable elements are nobody else's."""
    if is_instance_of(items, "coffea.processor.accumulator", "list_accumulator"):
        items = list(items)  # the sum of two is a plain list, to which + cannot add a third
    return items if _ATOMS.issuperset(map(type, items)) else copy.deepcopy(items)


# -- owning -----------------------------------------------------------------


def copy_output(value: Any) -> Any:
    """Copy an output so deeply that no two of its leaves are the same object.

    ``copy.deepcopy`` keeps ``{"a": h, "b": h}`` one histogram; adding in place to both keys
    would then count twice.
    """
    if is_tree(value):
        out = _emptied(value)
        for key, item in value.items():
            out[key] = copy_output(item)
        return out
    return copy.deepcopy(value)


def take_output(value: Any) -> Any:
    """Make an output fit to be added into, copying only what has to be copied.

    A leaf that occurs twice, and an array that is a view of somebody's memory, are replaced by
    copies; all else stays the very object, so that `shares_state` still knows it.

    Parameters
    ----------
    value : Any
        What the processor returned; its mappings are changed in place.
    """
    return _take(value, set())


def _take(value: Any, seen: set[int]) -> Any:
    if is_tree(value):
        if id(value) in seen:
            return copy_output(value)
        seen.add(id(value))
        for key, item in list(value.items()):
            taken = _take(item, seen)
            if taken is not item:
                value[key] = taken
        return value
    # An array that is a view may be somebody's memory, a histogram's for instance.
    is_view = isinstance(value, np.ndarray) and value.base is not None
    if is_mutable(value) and (is_view or id(value) in seen):
        return copy.deepcopy(value)
    seen.add(id(value))
    return value


def is_mutable(value: object) -> bool:
    """Tell whether a leaf could change after it was returned.

    What hashes by value is taken as unchangeable, which fits numbers, strings, tuples, dates,
    enumerations and frozen dataclasses. Awkward arrays are never changed by adding.
    """
    hashing = getattr(type(value), "__hash__", None)
    return not is_awkward(value) and (hashing is None or hashing is object.__hash__)


def shares_state(left: Any, right: Any) -> str | None:
    """Find the first mutable object that is in both outputs.

    A processor that keeps filling one histogram and returns it for every chunk would have all
    earlier chunks counted again; the caller refuses what is found here.

    Parameters
    ----------
    left, right : Any
        The accumulator (from `take_output`) and the next output.

    Returns
    -------
    str or None
        Its key path in `right`, as ``output["DY"]["mass"]``.
    """
    known = {id(value) for _, value in _iter_mutable(left, ())}
    return next(
        (path_text(path) for path, value in _iter_mutable(right, ()) if id(value) in known), None
    )


def _iter_mutable(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    # Leaves first: "the histogram under this key" says more than "the dictionary".
    if is_tree(value):
        for key, item in value.items():
            yield from _iter_mutable(item, (*path, key))
        yield path, value
    elif is_mutable(value):
        yield path, value
