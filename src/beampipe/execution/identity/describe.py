"""Which rule a value's digest follows."""

from __future__ import annotations

import functools
import types
from typing import Any

import numpy as np

from beampipe.execution.identity.classes import (
    describe_class,
    describe_instance,
    unwrap_descriptor,
)
from beampipe.execution.identity.model import UnhashableError, combine
from beampipe.execution.identity.plain import (
    describe_awkward,
    describe_dtype,
    describe_histogram,
    describe_names,
    describe_numpy,
    describe_plain,
)
from beampipe.execution.identity.programs import (
    describe_function,
    describe_installed,
    describe_module,
)
from beampipe.execution.identity.walk import Walk
from beampipe.execution.outputs import is_awkward, is_histogram


def describe(walk: Walk, value: Any) -> bytes:
    """Digest any value.

    Raises
    ------
    UnhashableError
        It has no form that is the same in every process.
    """
    for rule in (describe_plain, _describe_program, _describe_data):
        digest = rule(walk, value)
        if digest is not None:
            return digest
    return describe_instance(walk, value)


def _describe_program(walk: Walk, value: Any) -> bytes | None:
    if isinstance(value, types.FunctionType):
        if callable(getattr(value, "dispatch", None)) and hasattr(value, "registry"):
            return _describe_single_dispatch(walk, value)
        return describe_function(walk, value)
    if isinstance(value, type):
        return describe_class(walk, value)
    if isinstance(value, types.ModuleType):
        return describe_module(walk, value)
    if isinstance(value, types.MethodType):
        return combine("method", walk.value(value.__func__), walk.value(value.__self__))
    if isinstance(value, types.BuiltinFunctionType):
        return _describe_builtin(walk, value)
    return _describe_wrapped(walk, value)


def _describe_wrapped(walk: Walk, value: Any) -> bytes | None:
    if type(value) is functools.partial:
        words = (value.func, value.args)
        return combine(
            "partial", *map(walk.value, words), describe_names(walk, dict(value.keywords))
        )
    if isinstance(value, functools._lru_cache_wrapper):  # noqa: SLF001
        return combine("cache", walk.value(value.__wrapped__))
    if type(value).__module__.startswith("numba.") and hasattr(value, "py_func"):
        options = getattr(value, "targetoptions", {})
        walk.packages.add("numba")
        return combine("numba", walk.value(value.py_func), describe_names(walk, dict(options)))
    inner = unwrap_descriptor(value)
    return None if inner is None else combine(type(value).__name__, *map(walk.value, inner))


def _describe_single_dispatch(walk: Walk, value: Any) -> bytes:
    """A function with variants by type; the cache in its closure says nothing."""
    variants = (pair for pair in value.registry.items())
    return combine("dispatch", *(walk.value(one) for pair in variants for one in pair))


def _describe_builtin(walk: Walk, value: Any) -> bytes:
    owner = value.__self__
    if owner is None or isinstance(owner, types.ModuleType):
        return describe_installed(walk, value)
    return combine("method", walk.value(owner), value.__name__.encode())


def _describe_data(walk: Walk, value: Any) -> bytes | None:
    if isinstance(value, (np.ndarray, np.generic)):
        return describe_numpy(walk, value)
    if isinstance(value, np.dtype):
        return describe_dtype(walk, value)
    if is_histogram(value):
        return describe_histogram(value)
    if is_awkward(value):
        return describe_awkward(walk, value)
    if isinstance(value, types.MappingProxyType):
        return combine("proxy", walk.value(dict(value)))
    if isinstance(value, (types.CodeType, types.FrameType, types.GeneratorType)):
        raise UnhashableError(f"a {type(value).__name__}")
    return None
