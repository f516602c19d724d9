"""NumPy arrays and scalars."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from beampipe.execution.encoding.members import MemberReader, MemberWriter
from beampipe.execution.encoding.plain import Node


def encode_array(value: NDArray[Any], members: MemberWriter) -> Node:
    """One member in NumPy's own format; object arrays are left to pickle."""
    if type(value) is not np.ndarray or not _is_open(value.dtype):
        return NotImplemented
    return {"kind": "array", "array": members.write_array(value)}


def encode_scalar(value: np.generic, members: MemberWriter) -> Node:
    """The bytes in the tree itself, and beside them the number as people read it."""
    dtype = value.dtype
    if type(value) is not dtype.type or not _is_open(dtype):
        return NotImplemented
    if dtype.kind == "V":
        return {"kind": "numpy-record", "array": members.write_array(np.array(value))}
    if isinstance(value, np.str_):
        return {"kind": "numpy-str", "codes": [ord(letter) for letter in value]}
    return {
        "kind": "numpy-scalar",
        "dtype": dtype.str,
        "hex": (value if isinstance(value, np.bytes_) else value.tobytes()).hex(),
        "text": str(value).encode("ascii", "backslashreplace").decode(),
    }


def _is_open(dtype: np.dtype[Any]) -> bool:
    """Tell whether NumPy's format keeps this type whole without pickle."""
    if dtype.hasobject or dtype.kind not in "biufcmMSUV" or dtype.metadata:
        return False
    return npy.descr_to_dtype(npy.dtype_to_descr(dtype)) == dtype


def _decode_scalar(node: Node, _: MemberReader) -> Any:
    dtype = np.dtype(node["dtype"])
    data = bytes.fromhex(node["hex"])
    return np.bytes_(data) if dtype.kind == "S" else np.frombuffer(data, dtype)[0]


DECODERS: Mapping[str, Callable[[Node, MemberReader], Any]] = {
    "array": lambda node, members: members.read_array(node["array"]),
    "numpy-str": lambda node, _: np.str_("".join(map(chr, node["codes"]))),
    "numpy-record": lambda node, members: members.read_array(node["array"])[()],
    "numpy-scalar": _decode_scalar,
}
