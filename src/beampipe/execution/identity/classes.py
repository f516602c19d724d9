"""Classes and their instances."""

from __future__ import annotations

import copyreg
import enum
import functools
import logging
import sys
import types
from typing import Any

from beampipe.execution.identity.model import UnhashableError, combine, encode_text
from beampipe.execution.identity.packages import is_importable, is_own
from beampipe.execution.identity.plain import describe_names
from beampipe.execution.identity.programs import describe_installed
from beampipe.execution.identity.walk import Walk

_NOT_CONTENT = {
    "__module__",
    "__doc__",
    "__dict__",
    "__weakref__",
    "__qualname__",
    "__annotations__",
    "__annotate__",
    "__annotate_func__",
    "__annotations_cache__",
    "__firstlineno__",
    "__static_attributes__",
    "__abstractmethods__",
    "__dataclass_fields__",
    "__dataclass_params__",
    "__match_args__",
    "__parameters__",
    "__orig_bases__",
    "_abc_impl",
    "__subclasshook__",
}
_DESCRIPTORS = (
    types.MemberDescriptorType,
    types.GetSetDescriptorType,
    types.WrapperDescriptorType,
    types.MethodDescriptorType,
    types.ClassMethodDescriptorType,
)


def describe_class(walk: Walk, cls: type) -> bytes:
    """Digest a class: by name if it is installed, by everything in it if it is the user's own."""
    if not is_own(cls.__module__) and is_importable(cls):
        return describe_installed(walk, cls)
    name = walk.qualified(cls.__module__, cls.__qualname__)
    return walk.unit(cls, f"class {name}", lambda: _describe_class(walk, cls, name))


def _describe_class(walk: Walk, cls: type, name: str) -> bytes:
    words = [combine("bases", *map(walk.value, cls.__bases__)), walk.value(type(cls))]
    if issubclass(cls, enum.Enum):
        members = cls.__members__.items()
        words += [
            combine("member", encode_text(key), walk.value(one.value)) for key, one in members
        ]
    for key, value in sorted(vars(cls).items()):
        if key in _NOT_CONTENT or (issubclass(cls, enum.Enum) and _is_of_enum(cls, key, value)):
            continue
        words += [encode_text(key), _describe_attribute(walk, cls, key, value, name)]
    return combine("class", *words)


def _is_of_enum(cls: type[enum.Enum], key: str, value: Any) -> bool:
    """Whether the machinery of `enum` put it there, or it is a member."""
    return (
        key in cls.__members__
        or (key.startswith("_") and not isinstance(value, types.FunctionType))
        or key in {"__new__", "_generate_next_value_"}
    )


def _describe_attribute(walk: Walk, cls: type, key: str, value: Any, name: str) -> bytes:
    inner = unwrap_descriptor(value)
    if inner is not None:
        return combine(type(value).__name__, *map(walk.value, inner))
    if isinstance(value, _DESCRIPTORS):
        return combine("descriptor")
    if isinstance(value, (types.FunctionType, type, types.ModuleType)):
        return walk.value(value)
    return walk.named(cls, key, f"constant {name}.{key}", value)


def unwrap_descriptor(value: Any) -> tuple[Any, ...] | None:
    """The functions in what stands around them in a class; None for anything else."""
    if isinstance(value, (staticmethod, classmethod)):
        return (value.__func__,)
    if type(value) is property:
        return (value.fget, value.fset, value.fdel)
    if isinstance(value, functools.cached_property):
        return (value.func,)
    if isinstance(value, functools.partialmethod):
        return (value.func, value.args, value.keywords)
    return None


def describe_instance(walk: Walk, value: Any) -> bytes:
    """Digest an object by its class and what pickle would keep of it."""
    if isinstance(value, enum.Enum):
        return combine("enum", walk.value(type(value)), walk.value(value.name))
    if isinstance(value, (logging.Logger, logging.LoggerAdapter)):
        return combine("logger")  # named after a module, and of no consequence
    with walk.inside(value) as circle:
        return circle or _describe_reduced(walk, value)


def _describe_reduced(walk: Walk, value: Any) -> bytes:
    kind = type(value)
    try:
        reducer = copyreg.dispatch_table.get(kind)
        reduced = reducer(value) if reducer is not None else value.__reduce_ex__(4)
    except UnhashableError:
        raise
    except Exception as error:  # pickling runs code of any class
        raise UnhashableError(f"{_name(kind)}: {error}") from error
    if isinstance(reduced, str):
        return _describe_global_name(walk, value, reduced)
    function, arguments, state, items, pairs = (*reduced, None, None, None)[:5]
    words = [walk.value(kind), walk.value(function), walk.value(arguments)]
    words.append(_describe_state(walk, value, state))
    words.append(combine("items", *map(walk.value, items or ())))
    words.append(combine("pairs", *(walk.value(one) for pair in pairs or () for one in pair)))
    return combine("object", *words)


def _describe_state(walk: Walk, value: Any, state: Any) -> bytes:
    if isinstance(state, tuple) and len(state) == 2:
        return combine("states", *(_describe_state(walk, value, one) for one in state))
    if type(state) is not dict or not all(isinstance(key, str) for key in state):
        return walk.value(state)
    if not is_own(type(value).__module__):
        return describe_names(walk, state)
    name = walk.qualified(type(value).__module__, type(value).__qualname__)
    words = []
    for key in sorted(state):
        part = walk.named(value, f".{key}", f"attribute {key} of {name}", state[key])
        words += [encode_text(key), part]
    return combine("state", *words)


def _describe_global_name(walk: Walk, value: Any, name: str) -> bytes:
    """What pickle keeps only the name of: NumPy's functions, singletons."""
    module = getattr(value, "__module__", None)
    places = [module] if module else [*sys.builtin_module_names, *list(sys.modules)]
    for place in (*places, "numpy"):
        found: Any = sys.modules.get(place)
        for part in name.split("."):
            found = getattr(found, part, None)
        if found is value and not is_own(place):
            walk.packages.add(place.partition(".")[0])
            return combine("installed", place.encode(), name.encode())
    raise UnhashableError(f"{_name(type(value))} {name}: it is known by its name only")


def _name(kind: type) -> str:
    return f"a {kind.__module__}.{kind.__qualname__}"
