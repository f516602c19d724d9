"""coffea's accumulators."""

from __future__ import annotations

from typing import Any

from beampipe.execution.encoding.plain import (
    Decode,
    Encode,
    Node,
    decode_factory,
    encode_factory,
    has_own_state,
)

_PLAIN = {"list_accumulator": list, "set_accumulator": set, "dict_accumulator": dict}
_STATE = {
    "value_accumulator": {"value", "default_factory"},
    "column_accumulator": {"_value", "_empty"},
}


def encode_coffea(value: Any, encode: Encode) -> Node:
    """A node of the kind ``coffea.<name>``; subclasses and extra attributes need pickle."""
    from coffea.processor import accumulator

    name = type(value).__name__
    if getattr(accumulator, name, None) is not type(value):
        return NotImplemented
    kind = {"kind": f"coffea.{name}"}
    if name in _STATE:
        if set(vars(value)) != _STATE[name] or value.value is None:
            return NotImplemented
        node = {**kind, "value": encode(value.value)}
        if name == "value_accumulator":
            node["factory"] = encode_factory(value.default_factory, encode)
        return node
    if has_own_state(value):
        return NotImplemented
    if name == "defaultdict_accumulator":
        factory = encode_factory(value.default_factory, encode)
        return {**kind, "value": encode(dict(value)), "factory": factory}
    if name in _PLAIN:
        return {**kind, "value": encode(_PLAIN[name](value))}
    return NotImplemented


def decode_coffea(node: Node, decode: Decode) -> Any:
    """The inverse of `encode_coffea`."""
    from coffea.processor import accumulator

    name = node["kind"].removeprefix("coffea.")
    if name not in _STATE and name not in _PLAIN and name != "defaultdict_accumulator":
        raise ValueError(f"there is no {node['kind']}")
    cls = getattr(accumulator, name)
    value = decode(node["value"])
    if name == "value_accumulator":
        return cls(decode_factory(node["factory"], decode), value)
    if name == "defaultdict_accumulator":
        return cls(decode_factory(node["factory"], decode), value)
    return cls(value)
