"""What an output consists of: leaves in a tree of mappings, their types and sizes."""

from __future__ import annotations

import itertools
import math
import sys
from collections import Counter
from collections.abc import Iterator, MutableMapping, MutableSet
from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np

Path = tuple[Any, ...]

_SAMPLE = 64
_UNKNOWN_BYTES = 64


@dataclass(frozen=True, slots=True)
class OutputLeaf:
    """One thing in an output, for people.

    Attributes
    ----------
    path : str
        As a user would type it: ``output["DY"]["mass"]``.
    kind : str
        The type: ``hist.Hist``, ``int``.
    detail : str
        Axes and storage, shape and dtype, the number itself, how many items.
    size_bytes : int
        Roughly what it takes in memory [bytes].
    """

    path: str
    kind: str
    detail: str
    size_bytes: int


def is_instance_of(value: object, module: str, *names: str) -> bool:
    """Tell whether `value` is an instance of a class of a module, without importing it.

    A value whose module was never imported cannot exist, so heavy libraries are only looked
    at when somebody else has loaded them.
    """
    loaded = sys.modules.get(module)
    return loaded is not None and isinstance(
        value, tuple(getattr(loaded, name) for name in names if hasattr(loaded, name))
    )


def is_histogram(value: object) -> bool:
    """Tell whether `value` is a ``boost_histogram.Histogram`` (``hist.Hist`` is one)."""
    return is_instance_of(value, "boost_histogram", "Histogram")


def is_awkward(value: object) -> bool:
    """Tell whether `value` is an Awkward array or record."""
    return is_instance_of(value, "awkward", "Array", "Record")


def is_addable(value: object) -> bool:
    """Tell whether `value` has its own ``+`` (coffea's ``Addable``)."""
    return hasattr(type(value), "__add__")


def is_tree(value: object) -> TypeGuard[MutableMapping[Any, Any]]:
    """Tell whether `value` is a mapping that is added key by key."""
    if not isinstance(value, MutableMapping):
        return False
    if not is_addable(value) or type(value) is Counter:
        return True
    # coffea's own two have a + that wants identity() of every value: go through them instead.
    accumulator = sys.modules.get("coffea.processor.accumulator")
    return accumulator is not None and type(value) in (
        accumulator.dict_accumulator,
        accumulator.defaultdict_accumulator,
    )


def is_set(value: object) -> bool:
    """Tell whether `value` is a set, added by union."""
    return isinstance(value, (MutableSet, frozenset))


def path_text(path: Path) -> str:
    """Write a key path as a user would type it: ``output["DY"]["mass"]``."""
    parts = (f'"{key}"' if isinstance(key, str) else repr(key) for key in path)
    return "output" + "".join(f"[{part}]" for part in parts)


def type_text(value: object) -> str:
    """Name a value's type: ``float``, ``hist.Hist``, ``numpy.ndarray``."""
    kind = type(value)
    if kind.__module__ in ("builtins", "__main__"):
        return kind.__qualname__
    return f"{kind.__module__.partition('.')[0]}.{kind.__qualname__}"


def iter_leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Go through everything in an output that is not itself added key by key."""
    if is_tree(value):
        for key, item in value.items():
            yield from iter_leaves(item, (*path, key))
    else:
        yield path, value


def approximate_bytes(value: Any) -> int:
    """Estimate what an output takes in memory, quickly [bytes].

    Arrays and histograms are exact; long lists and sets are judged by a few of their items.
    """
    if is_tree(value):
        return sys.getsizeof(value) + sum(
            approximate_bytes(key) + approximate_bytes(item) for key, item in value.items()
        )
    if is_histogram(value):
        return _histogram_bytes(value)
    if isinstance(value, (np.ndarray, np.generic)) or is_awkward(value):
        return int(value.nbytes)
    if isinstance(value, (list, tuple, set, frozenset)):
        return sys.getsizeof(value) + _items_bytes(value)
    if is_instance_of(value, "coffea.processor.accumulator", "AccumulatorABC"):
        return sum(approximate_bytes(item) for item in vars(value).values())
    return sys.getsizeof(value, _UNKNOWN_BYTES)


def _items_bytes(items: Any) -> int:
    sample = list(itertools.islice(items, _SAMPLE))
    if not sample:
        return 0
    return sum(map(approximate_bytes, sample)) * len(items) // len(sample)


def _histogram_bytes(value: Any) -> int:
    # Not by .view(): that of an Unlimited storage is a copy.
    fields = {"Weight": 2, "Mean": 3, "WeightedMean": 4}
    words: int = fields.get(value.storage_type.__name__, 1) * getattr(value.storage, "nelem", 1)
    return words * 8 * math.prod(int(axis.extent) for axis in value.axes)


def describe_output(value: Any) -> list[OutputLeaf]:
    """List everything in an output with its type, shape and size."""
    return [
        OutputLeaf(path_text(path), type_text(leaf), _detail(leaf), approximate_bytes(leaf))
        for path, leaf in iter_leaves(value)
    ]


def _detail(value: Any) -> str:
    if is_histogram(value):
        axes = " × ".join(map(_axis_detail, value.axes))
        return f"{axes or 'no axes'}, {value.storage_type.__name__}"
    if is_instance_of(value, "coffea.processor.accumulator", "column_accumulator"):
        return _detail(value.value)
    if is_instance_of(value, "awkward", "Array"):
        return str(value.type)
    if isinstance(value, np.ndarray) and value.ndim:
        return f"{' × '.join(map(str, value.shape))} {value.dtype}"
    if isinstance(value, (int, float, complex, np.generic, np.ndarray)):
        return str(value)
    try:
        return f"{len(value)} items"
    except TypeError:
        return ""


def _axis_detail(axis: Any) -> str:
    name = getattr(axis, "name", "") or type(axis).__name__
    return f"{name} ({len(axis)})"
