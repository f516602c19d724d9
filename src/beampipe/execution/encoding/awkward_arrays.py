"""Awkward arrays and records: their form in JSON, their buffers as arrays."""

from __future__ import annotations

import importlib
import re
import sys
import warnings
from collections.abc import Mapping
from typing import Any

from beampipe.execution.encoding.members import MemberReader, MemberWriter
from beampipe.execution.encoding.plain import Decode, Encode, Node

# Only names of this pattern are ever imported because a file says so.
_BEHAVIOR = re.compile(r"coffea\.nanoevents\.methods\.\w+")


def encode_awkward(value: Any, members: MemberWriter, encode: Encode) -> Node:
    """A node with the form, and one array per buffer.

    Columns that were not read yet are read now. Behaviours are kept by name when they are
    coffea's, and left out where they cannot matter; what remains is left to pickle.
    """
    import awkward as ak

    is_record = isinstance(value, ak.Record)
    behavior = _behavior_name(value)
    attrs = {key: item for key, item in value.attrs.items() if not key.startswith("@")}
    if is_record:
        layout = value.layout
        array = ak.Array(layout.array[layout.at : layout.at + 1])
    else:
        array = ak.Array(value.layout)
    array = ak.to_packed(ak.materialize(array))
    if behavior is None and (value.behavior or _is_custom(value)) and _has_names(array):
        return NotImplemented
    form, length, buffers = ak.to_buffers(array, byteorder="<")
    return {
        "kind": "awkward",
        "class": "Record" if is_record else "Array",
        "form": form.to_dict(),
        "length": int(length),
        "buffers": {key: members.write_array(buffers[key]) for key in sorted(buffers)},
        "behavior": behavior,
        "attrs": encode(attrs),
    }


def decode_awkward(node: Node, members: MemberReader, decode: Decode) -> Any:
    """The inverse of `encode_awkward`."""
    import awkward as ak

    buffers = {key: members.read_array(number) for key, number in node["buffers"].items()}
    array = ak.from_buffers(
        ak.forms.from_dict(node["form"]),
        node["length"],
        buffers,
        byteorder="<",
        behavior=_load_behavior(node["behavior"]),
        attrs=decode(node["attrs"]) or None,
    )
    return array[0] if node["class"] == "Record" else array


def _is_custom(value: Any) -> bool:
    import awkward as ak

    return type(value) not in (ak.Array, ak.Record)


def _has_names(array: Any) -> bool:
    """Tell whether any part has a name that a behaviour could be looked up by."""
    return _names_in(array.layout.form.to_dict())


def _names_in(form: Any) -> bool:
    if isinstance(form, list):
        return any(map(_names_in, form))
    if not isinstance(form, Mapping):
        return False
    parameters = form.get("parameters") or {}
    if "__record__" in parameters or "__list__" in parameters:
        return True
    return any(_names_in(form[key]) for key in ("content", "contents") if key in form)


def _behavior_name(value: Any) -> str | None:
    """Find the coffea module whose behaviours these are."""
    if value.behavior is None:
        return None
    return next(
        (
            name
            for name, module in list(sys.modules.items())
            if _BEHAVIOR.fullmatch(name) and getattr(module, "behavior", None) is value.behavior
        ),
        None,
    )


def _load_behavior(name: str | None) -> Any:
    if name is None:
        return None
    if not _BEHAVIOR.fullmatch(name):
        raise ValueError(f"{name!r} is not a module with behaviours")
    try:
        return importlib.import_module(name).behavior
    except (ImportError, AttributeError):
        warnings.warn(
            f"An array was written with the behaviours of {name}, which is not installed; "
            "its data are complete, its methods are missing.",
            stacklevel=2,
        )
        return None
