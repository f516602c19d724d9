"""Values that hold no code: numbers, text, containers, arrays, histograms."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from beampipe.errors import ProcessorOutputError
from beampipe.execution.encoding import needs_pickle, write_value
from beampipe.execution.identity.model import UnhashableError, combine, encode_text
from beampipe.execution.identity.walk import Walk


def describe_plain(walk: Walk, value: Any) -> bytes | None:
    """Digest a value of one of the basic types; None for any other type."""
    make = _TYPES.get(type(value))
    return None if make is None else make(walk, value)


def _sequence(walk: Walk, value: Any) -> bytes:
    with walk.inside(value) as circle:
        return circle or combine(type(value).__name__, *map(walk.value, value))


def _set(walk: Walk, value: Any) -> bytes:
    """A set's order differs from process to process."""
    digests = (walk.value(one) if type(one) in _SCALARS else walk.apart(one) for one in value)
    return combine(type(value).__name__, *sorted(digests))


def _dict(walk: Walk, value: Any) -> bytes:
    """A dictionary's order is part of it: a processor may go through it and take the first."""
    with walk.inside(value) as circle:
        return circle or combine(
            "dict", *(walk.value(side) for item in value.items() for side in item)
        )


def describe_names(walk: Walk, values: Mapping[str, Any]) -> bytes:
    """Digest attributes or keyword arguments, whose order means nothing."""
    words = []
    for name in sorted(values):
        words += [encode_text(name), walk.value(values[name])]
    return combine("names", *words)


def _float(value: float) -> bytes:
    return b"nan" if value != value else struct.pack(">d", value)  # noqa: PLR0124 (NaN)


_TYPES: dict[type, Callable[[Walk, Any], bytes]] = {
    type(None): lambda _walk, _value: combine("None"),
    type(...): lambda _walk, _value: combine("Ellipsis"),
    type(NotImplemented): lambda _walk, _value: combine("NotImplemented"),
    bool: lambda _walk, value: combine("bool", str(value).encode()),
    int: lambda _walk, value: combine("int", hex(value).encode()),
    float: lambda _walk, value: combine("float", _float(value)),
    complex: lambda _walk, value: combine("complex", _float(value.real), _float(value.imag)),
    str: lambda _walk, value: combine("str", encode_text(value)),
    bytes: lambda _walk, value: combine("bytes", value),
    bytearray: lambda _walk, value: combine("bytearray", bytes(value)),
    tuple: _sequence,
    list: _sequence,
    set: _set,
    frozenset: _set,
    dict: _dict,
}


_SCALARS = {type(None), bool, int, float, complex, str, bytes}


def describe_dtype(walk: Walk, dtype: np.dtype[Any]) -> bytes:
    """Digest a dtype; its text does not tell the fields of a structured one."""
    return combine("dtype", walk.value(np.lib.format.dtype_to_descr(dtype)))


def describe_numpy(walk: Walk, value: np.ndarray[Any, Any] | np.generic) -> bytes:
    """Digest an array or a NumPy scalar, however it lies in memory."""
    array = np.asarray(value)
    words = [type(value).__name__.encode(), str(array.shape).encode()]
    if isinstance(value, np.ma.MaskedArray):
        words += [walk.value(np.ma.getmaskarray(value)), walk.value(value.fill_value)]
    if array.dtype.hasobject:
        with walk.inside(value) as circle:
            return circle or combine("objects", *words, *map(walk.value, array.ravel().tolist()))
    words += [describe_dtype(walk, array.dtype), np.ascontiguousarray(array).tobytes()]
    return combine("array", *words)


def describe_histogram(value: Any) -> bytes:
    """Digest a histogram by the members that it would have in a segment."""
    buffer = io.BytesIO()
    try:
        with zipfile.ZipFile(buffer, "w") as archive:
            write_value(archive, "value", value)
            if needs_pickle(archive, "value"):
                raise UnhashableError("a histogram with attributes that need pickle")
    except ProcessorOutputError as error:
        raise UnhashableError(f"a histogram: {error.why}") from error
    words = [type(value).__qualname__.encode()]
    with zipfile.ZipFile(buffer) as archive:
        for name in sorted(archive.namelist()):
            words += [name.encode(), archive.read(name)]
    return combine("histogram", *words)


def describe_awkward(walk: Walk, value: Any) -> bytes:
    """Digest an Awkward array by its form and its packed buffers."""
    import awkward as ak

    array = ak.Array([value]) if isinstance(value, ak.Record) else value
    form, length, buffers = ak.to_buffers(ak.to_packed(ak.materialize(array)))
    words = [json.dumps(form.to_dict(), sort_keys=True, default=str).encode(), str(length).encode()]
    for name in sorted(buffers):
        words += [name.encode(), walk.value(np.asarray(buffers[name]))]
    words.append(type(value).__qualname__.encode())
    words.append(walk.value(dict(value.attrs)))
    return combine("awkward", *words)
