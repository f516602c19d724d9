"""Python's own types in the JSON tree.

None, bool, str, finite float, small int and list are JSON's own; everything else is an
object with a ``kind``.
"""

from __future__ import annotations

import base64
import builtins
import datetime as dt
import json
import math
import re
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Mapping
from typing import Any

Node = Any
Encode = Callable[[Any], Node]
Decode = Callable[[Node], Any]

_EXACT_INT = 2**53  # other languages read JSON's numbers as doubles
_SURROGATE = re.compile("[\ud800-\udfff]")
_NATIVE = frozenset({bool, int, float, str, type(None)})
FACTORIES: Mapping[str, Any] = {
    name: getattr(builtins, name)
    for name in ("bool", "complex", "dict", "float", "int", "list", "set", "str", "tuple")
}
_FACTORY_NAMES = {factory: name for name, factory in FACTORIES.items()}
_DATES: Mapping[str, Any] = {
    "datetime": dt.datetime,
    "date": dt.date,
    "time": dt.time,
}


# -- to nodes ---------------------------------------------------------------


def encode_int(value: int, _: Encode) -> Node:
    """Small ones as they are, others in hexadecimal: decimal has a limit in Python."""
    return value if abs(value) <= _EXACT_INT else {"kind": "int", "hex": hex(value)}


def encode_float(value: float, _: Encode) -> Node:
    """The shortest text that gives the same bits; JSON has no word for nan and inf."""
    return value if math.isfinite(value) else {"kind": "float", "value": repr(value)}


def encode_str(value: str, _: Encode) -> Node:
    """Half surrogates (undecodable file names) survive no UTF-8, so they go by code point."""
    if _SURROGATE.search(value):
        return {"kind": "str", "codes": [ord(letter) for letter in value]}
    return value


def encode_list(value: list[Any], encode: Encode) -> Node:
    """A list is a JSON list; a long one of plain numbers goes as it stands."""
    return value if _is_native(value) else [encode(item) for item in value]


def _is_native(value: list[Any]) -> bool:
    kinds = set(map(type, value))
    if kinds == {float}:
        return all(map(math.isfinite, value))
    return kinds == {int} and min(value) >= -_EXACT_INT and max(value) <= _EXACT_INT


def encode_items(value: Any, encode: Encode) -> Node:
    """Tuples and sets; a set has no order, so its members are sorted by what they look like."""
    items = [encode(item) for item in value]
    if isinstance(value, (set, frozenset)):
        items.sort(key=json.dumps)
    return {"kind": type(value).__name__, "items": items}


def encode_mapping(value: Mapping[Any, Any], encode: Encode) -> Node:
    """Pairs, for keys need not be strings and their order is kept."""
    node = {
        "kind": type(value).__name__,
        "items": [[encode(key), encode(item)] for key, item in value.items()],
    }
    if isinstance(value, defaultdict):
        node["factory"] = encode_factory(value.default_factory, encode)
    return node


def encode_factory(factory: Any, encode: Encode) -> Node:
    """By name if it is a common one; a lambda needs pickle."""
    try:
        return _FACTORY_NAMES[factory]
    except (KeyError, TypeError):
        return encode(factory)


def encode_complex(value: complex, encode: Encode) -> Node:
    """Two floats."""
    return {"kind": "complex", "real": encode(value.real), "imag": encode(value.imag)}


def encode_bytes(value: bytes, _: Encode) -> Node:
    """Base64."""
    return {"kind": "bytes", "base64": base64.b64encode(value).decode()}


def encode_date(value: Any, _: Encode) -> Node:
    """ISO 8601; a time zone that is more than an offset needs pickle."""
    zone = getattr(value, "tzinfo", None)
    if zone is not None and repr(zone) != repr(_offset_of(value)):
        return NotImplemented
    node = {"kind": type(value).__name__, "value": value.isoformat()}
    if getattr(value, "fold", 0):
        node["fold"] = 1
    return node


def _offset_of(value: Any) -> Any:
    offset = value.utcoffset()
    return None if offset is None else dt.timezone(offset)


def encode_timedelta(value: dt.timedelta, _: Encode) -> Node:
    """Whole numbers, as Python keeps them."""
    parts = {name: getattr(value, name) for name in ("days", "seconds", "microseconds")}
    return {"kind": "timedelta", **parts}


ENCODERS: Mapping[type, Callable[[Any, Encode], Node]] = {
    type(None): lambda value, _: value,
    bool: lambda value, _: value,
    int: encode_int,
    float: encode_float,
    str: encode_str,
    list: encode_list,
    tuple: encode_items,
    set: encode_items,
    frozenset: encode_items,
    dict: encode_mapping,
    OrderedDict: encode_mapping,
    Counter: encode_mapping,
    defaultdict: encode_mapping,
    complex: encode_complex,
    bytes: encode_bytes,
    dt.datetime: encode_date,
    dt.date: encode_date,
    dt.time: encode_date,
    dt.timedelta: encode_timedelta,
}


def has_own_state(value: Any) -> bool:
    """Tell whether a container carries attributes besides its items."""
    return bool(getattr(value, "__dict__", None))


# -- from nodes -------------------------------------------------------------


def decode_list(node: list[Node], decode: Decode) -> list[Any]:
    """A long list of plain numbers or strings is taken as it stands."""
    return node if _NATIVE.issuperset(map(type, node)) else [decode(item) for item in node]


def decode_factory(node: Node, decode: Decode) -> Any:
    """The inverse of `encode_factory`."""
    return FACTORIES[node] if isinstance(node, str) else decode(node)


def _pairs(node: Node, decode: Decode) -> list[tuple[Any, Any]]:
    return [(decode(key), decode(item)) for key, item in node["items"]]


def _items(node: Node, decode: Decode) -> list[Any]:
    return decode_list(node["items"], decode)


def _decode_counter(node: Node, decode: Decode) -> Counter[Any]:
    return Counter(dict(_pairs(node, decode)))


def _decode_defaultdict(node: Node, decode: Decode) -> defaultdict[Any, Any]:
    return defaultdict(decode_factory(node["factory"], decode), _pairs(node, decode))


def _decode_date(node: Node, _: Decode) -> Any:
    value = _DATES[node["kind"]].fromisoformat(node["value"])
    return value.replace(fold=1) if node.get("fold") else value


DECODERS: Mapping[str, Callable[[Node, Decode], Any]] = {
    "int": lambda node, _: int(node["hex"], 16),
    "float": lambda node, _: float(node["value"]),
    "str": lambda node, _: "".join(map(chr, node["codes"])),
    "complex": lambda node, decode: complex(decode(node["real"]), decode(node["imag"])),
    "bytes": lambda node, _: base64.b64decode(node["base64"]),
    "tuple": lambda node, decode: tuple(_items(node, decode)),
    "set": lambda node, decode: set(_items(node, decode)),
    "frozenset": lambda node, decode: frozenset(_items(node, decode)),
    "dict": lambda node, decode: dict(_pairs(node, decode)),
    "OrderedDict": lambda node, decode: OrderedDict(_pairs(node, decode)),
    "Counter": _decode_counter,
    "defaultdict": _decode_defaultdict,
    "datetime": _decode_date,
    "date": _decode_date,
    "time": _decode_date,
    "timedelta": lambda node, _: dt.timedelta(node["days"], node["seconds"], node["microseconds"]),
}
