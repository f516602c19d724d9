"""Histograms: axes as UHI's schema writes them, all bins as one array.

The axes go through boost-histogram's own UHI serialization. Three things are done on top,
so that what comes back is the same to the bit: metadata of any type (UHI drops None), the
last bit of an axis' limits, and the bins as they lie in memory (UHI keeps variances where
boost-histogram keeps sums of squares).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beampipe.execution.encoding.members import MemberReader, MemberWriter
from beampipe.execution.encoding.plain import Decode, Encode, Node

_STORAGES = frozenset(
    {"Double", "Int64", "AtomicInt64", "Unlimited", "Weight", "Mean", "WeightedMean"}
)
_LISTS = ("edges", "categories")
_STEPS = 4


def encode_histogram(value: Any, members: MemberWriter, encode: Encode) -> Node:
    """A node with the axes, and one array of bins with flow.

    Anything that boost-histogram's reader would not give back exactly is left to pickle.
    """
    from boost_histogram.serialization import to_uhi

    name = next((name for name, cls in _classes().items() if type(value) is cls), None)
    if name is None or value.storage_type.__name__ not in _STORAGES:
        return NotImplemented
    uhi = to_uhi(value, keep_storage=False)
    axes = [
        axis
        for written, original in zip(uhi["axes"], value.axes, strict=True)
        if (axis := _exact_axis(written, original, type(value))) is not None
    ]
    if len(axes) < value.ndim:
        return NotImplemented
    bins = _bins(value)
    if value.storage_type.__name__ == "Unlimited" and not _fits_doubles(bins):
        return NotImplemented
    return {
        "kind": "histogram",
        "class": name,
        "uhi": {**uhi, "axes": [_encode_axis(axis, encode) for axis in axes], "metadata": {}},
        "axis_attributes": [encode(dict(axis.__dict__)) for axis in value.axes],
        "attributes": encode(dict(value.__dict__)),
        "bins": members.write_array(bins),
    }


def decode_histogram(node: Node, members: MemberReader, decode: Decode) -> Any:
    """The inverse of `encode_histogram`."""
    uhi = node["uhi"]
    axes = [
        _decode_axis(axis, attributes, decode)
        for axis, attributes in zip(uhi["axes"], node["axis_attributes"], strict=True)
    ]
    value = _classes()[node["class"]]({**uhi, "axes": axes})
    value.__dict__.clear()
    value.__dict__.update(decode(node["attributes"]))
    if value.storage_type.__name__ == "Unlimited":
        value[...] = members.read_array(node["bins"])
    else:
        members.read_array_into(node["bins"], _bins(value))
    return value


def _classes() -> Mapping[str, Any]:
    import boost_histogram
    import hist

    return {
        "hist.Hist": hist.Hist,
        "hist.NamedHist": hist.NamedHist,
        "boost_histogram.Histogram": boost_histogram.Histogram,
    }


def _bins(value: Any) -> NDArray[Any]:
    """The memory of all bins, with flow; the first axis runs fastest."""
    return np.asarray(value.view(flow=True))


def _encode_axis(axis: Mapping[str, Any], encode: Encode) -> Node:
    lists = {key: encode(list(axis[key])) for key in _LISTS if key in axis}
    return {**axis, **lists, "metadata": {}}


def _decode_axis(axis: Mapping[str, Any], attributes: Node, decode: Decode) -> dict[str, Any]:
    lists = {key: decode(axis[key]) for key in _LISTS if key in axis}
    return {**axis, **lists, "metadata": decode(attributes)}


def _exact_axis(written: dict[str, Any], original: Any, cls: Any) -> dict[str, Any] | None:
    """Find limits from which the reader makes exactly this axis; None if there are none.

    boost-histogram keeps the start and the width; from the limits it tells, the last bit may
    come out differently, and two such histograms could never be added.
    """
    axis = {**written, "metadata": dict(original.__dict__)}
    if "edges" in axis:
        axis["edges"] = [float(edge) for edge in axis["edges"]]
    return next((one for one in _candidates(axis) if _gives_back(one, original, cls)), None)


def _candidates(axis: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield axis
    info = axis.get("writer_info", {}).get("boost-histogram", {})
    if "transform" in info:
        for lower, upper in _neighbours(info["lower"], info["upper"]):
            changed = {"boost-histogram": {**info, "lower": lower, "upper": upper}}
            yield {**axis, "writer_info": {**axis["writer_info"], **changed}}
    elif axis["type"] == "regular" and "orig_type" not in info:
        for lower, upper in _neighbours(axis["lower"], axis["upper"]):
            yield {**axis, "lower": lower, "upper": upper}


def _neighbours(lower: float, upper: float) -> list[tuple[float, float]]:
    """Pairs a few units in the last place away, the nearest first."""
    steps = sorted(
        itertools.product(range(-_STEPS, _STEPS + 1), repeat=2),
        key=lambda step: abs(step[0]) + abs(step[1]),
    )
    return [(_nudge(lower, down), _nudge(upper, up)) for down, up in steps]


def _nudge(number: float, steps: int) -> float:
    for _ in range(abs(steps)):
        number = math.nextafter(number, math.copysign(math.inf, steps))
    return number


def _gives_back(axis: dict[str, Any], original: Any, cls: Any) -> bool:
    empty = {"uhi_schema": 1, "storage": {"type": "double"}, "metadata": {}}
    try:
        rebuilt = cls({**empty, "axes": [axis]}).axes[0]
        return type(rebuilt) is type(original) and bool(rebuilt == original)
    except (ValueError, TypeError, KeyError):
        return False


def _fits_doubles(bins: NDArray[Any]) -> bool:
    """Tell whether an Unlimited storage, which keeps any integer, fits into doubles."""
    return bool(np.all(np.abs(bins) < 2.0**53))
