"""Functions, and what they refer to: defaults, closures, globals, imports."""

from __future__ import annotations

import builtins
import sys
import types
from collections.abc import Iterator
from typing import Any

from beampipe.environments.code_archive import ImportUse
from beampipe.execution.identity.code import (
    GlobalUse,
    digest_code,
    find_globals,
    find_imports,
)
from beampipe.execution.identity.model import combine, encode_text
from beampipe.execution.identity.packages import (
    is_importable,
    is_own,
    is_own_module,
    top_level,
)
from beampipe.execution.identity.sources import describe_source
from beampipe.execution.identity.walk import Walk

# What depends on where a file lies or what it is called.
_OF_PLACE = {
    "__name__",
    "__file__",
    "__doc__",
    "__package__",
    "__spec__",
    "__loader__",
    "__cached__",
    "__path__",
    "__builtins__",
    "__annotations__",
}
_MISSING = object()


def describe_installed(walk: Walk, value: Any) -> bytes:
    """Let the name of something installed stand for it; its package's version is compared."""
    module = getattr(value, "__module__", None) or "builtins"
    walk.packages.add(top_level(module))
    name = getattr(value, "__qualname__", None) or value.__name__
    return combine("installed", module.encode(), name.encode())


def describe_function(walk: Walk, function: types.FunctionType) -> bytes:
    """Digest a Python function: its code, and everything that the code refers to."""
    if not is_own(function.__module__) and is_importable(function):
        return describe_installed(walk, function)
    name = walk.qualified(function.__module__, function.__qualname__)
    return walk.unit(function, f"function {name}", lambda: _describe(walk, function, name))


def _describe(walk: Walk, function: types.FunctionType, name: str) -> bytes:
    code = function.__code__
    words = [digest_code(code)]
    words += _describe_defaults(walk, function, name)
    for variable, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        words += [encode_text(variable), _describe_cell(walk, function, variable, cell, name)]
    names = {use: None for use in find_globals(code) if use.name not in _OF_PLACE}
    words += [word for use in names for word in _describe_global(walk, function, use)]
    words += [_describe_import(walk, function, use) for use in dict.fromkeys(find_imports(code))]
    attributes = {key: value for key, value in vars(function).items() if key != "__wrapped__"}
    for key in sorted(attributes):
        place = f"attribute {key} of {name}"
        words += [encode_text(key), walk.named(function, f".{key}", place, attributes[key])]
    return combine("function", *words)


def _describe_defaults(walk: Walk, function: types.FunctionType, name: str) -> Iterator[bytes]:
    code = function.__code__
    given = function.__defaults__ or ()
    names = code.co_varnames[code.co_argcount - len(given) : code.co_argcount]
    values = [*zip(names, given, strict=True), *sorted((function.__kwdefaults__ or {}).items())]
    for argument, value in values:
        yield encode_text(argument)
        yield walk.named(function, f"={argument}", f"default {argument} of {name}", value)


def _describe_cell(
    walk: Walk, function: types.FunctionType, variable: str, cell: types.CellType, name: str
) -> bytes:
    try:
        value = cell.cell_contents
    except ValueError:  # not assigned yet
        return combine("empty")
    return _describe_named(
        walk, function, f"({variable}", f"closure value {variable} of {name}", value
    )


def _describe_named(walk: Walk, owner: Any, key: str, name: str, value: Any) -> bytes:
    """What has a name of its own is known by that; values are parts by the name they go by."""
    if isinstance(value, (types.FunctionType, type, types.ModuleType)):
        return walk.value(value)
    return walk.named(owner, key, name, value)


# -- globals ------------------------------------------------------------------------------


def _describe_global(walk: Walk, function: types.FunctionType, use: GlobalUse) -> list[bytes]:
    names = function.__globals__
    label = encode_text(".".join((use.name, *use.attributes)))
    if use.name not in names:
        known = hasattr(builtins, use.name)
        return [label, combine("builtin" if known else "missing")]
    value = names[use.name]
    if isinstance(value, types.ModuleType):
        return [label, _describe_member(walk, value, use.attributes)]
    name = walk.qualified(names.get("__name__"), use.name)
    return [label, _describe_named(walk, _Namespace.of(names), use.name, f"constant {name}", value)]


class _Namespace:
    """Stands for a module's dictionary, which has no weak references and may be a fresh copy."""

    @staticmethod
    def of(names: dict[str, Any]) -> Any:
        module = sys.modules.get(names.get("__name__", ""))
        return module if module is not None and vars(module) is names else names


def _describe_member(walk: Walk, module: types.ModuleType, attributes: tuple[str, ...]) -> bytes:
    """Digest what is taken from a module; all of it where that cannot be told."""
    for place, attribute in enumerate(attributes):
        if not is_own_module(module):
            break
        value = getattr(module, attribute, _MISSING)
        if value is _MISSING:
            return combine("missing")
        if not isinstance(value, types.ModuleType):
            name = walk.qualified(module.__name__, attribute)
            return _describe_named(walk, module, attribute, f"constant {name}", value)
        module, attributes = value, attributes[place + 1 :]
        return _describe_member(walk, module, attributes)
    return describe_module(walk, module)


def describe_module(walk: Walk, module: types.ModuleType) -> bytes:
    """Digest a module: everything in it if it is the user's own."""
    if not is_own_module(module):
        walk.packages.add(top_level(module.__name__))
        return combine("module", module.__name__.encode())
    name = walk.qualified(module.__name__, "module") if module.__name__ == walk.main else ""
    name = name or module.__name__
    return walk.unit(module, f"module {name}", lambda: _describe_all(walk, module))


def _describe_all(walk: Walk, module: types.ModuleType) -> bytes:
    words = []
    for key, value in sorted(vars(module).items()):
        if key not in _OF_PLACE:
            name = walk.qualified(module.__name__, key)
            words.append(encode_text(key))
            words.append(_describe_named(walk, module, key, f"constant {name}", value))
    return combine("names", *words)


# -- imports inside functions -------------------------------------------------------------


def _describe_import(walk: Walk, function: types.FunctionType, use: ImportUse) -> bytes:
    package = function.__globals__.get("__package__") or ""
    return describe_source(walk, use, package)
