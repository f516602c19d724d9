"""The processor as bytes: what a worker needs, and nothing that it must have beforehand."""

from __future__ import annotations

import contextlib
import functools
import io
import sys
import threading
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import cloudpickle

from beampipe.environments.own_code import is_own_module
from beampipe.errors import ProcessorPickleError
from beampipe.execution.kernels import digest_kernel, is_kernel, reduce_kernel
from beampipe.execution.processors import Processor

# What is pickled by value is told to all of the process; runs may begin in several threads.
_REGISTRY = threading.Lock()


def pickle_processor(processor: Processor, schema: Any) -> bytes:
    """Pickle what a worker needs; the user's own modules travel by value.

    A worker may see another file system, or have imported an older version of the module,
    so code that is not part of an installed package is sent along.

    Raises
    ------
    ProcessorPickleError
        ``processor-pickle``: says what stands in the way.
    """
    own = [module for module in list(sys.modules.values()) if is_own_module(module)]
    try:
        with _pickled_by_value(own):
            written = io.BytesIO()
            _Pickler(written).dump((processor, schema))
        return written.getvalue()
    except Exception as error:  # pickling runs code of any class
        guilty = _find_unpicklable(processor.target, own)
        where = f" ({guilty})" if guilty else ""
        raise ProcessorPickleError(
            f"The processor {processor.name} cannot be sent to workers.",
            why=f"{type(error).__name__}: {error}{where}",
            fix="open files, locks, connections and the like inside the function, not outside",
        ) from error


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # untyped
    """cloudpickle's own, which also takes functions and properties with a cache along by value.

    The functions say that they are to be pickled by name, also where no worker knows the name,
    and the properties have a lock in Python 3.11.
    """

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, functools._lru_cache_wrapper) and _is_of_user(obj):  # noqa: SLF001
            return _cache_anew, (obj.__wrapped__, obj.cache_parameters())
        if is_kernel(obj) and _is_of_user(obj.py_func):
            digest = digest_kernel(obj)
            if digest:
                return reduce_kernel(obj, digest)
        if type(obj) is functools.cached_property:
            return _property_anew, (obj.func, obj.attrname)
        return super().reducer_override(obj)


def _is_of_user(function: Any) -> bool:
    by_value = {"__main__", *cloudpickle.list_registry_pickle_by_value()}
    return function.__module__ in by_value or "<locals>" in function.__qualname__


def _cache_anew(function: Callable[..., Any], parameters: Mapping[str, Any]) -> Any:
    return functools.lru_cache(**parameters)(function)


def _property_anew(function: Callable[..., Any], name: str | None) -> Any:
    made = functools.cached_property(function)
    made.attrname = name  # the class that it is put into is made already, and tells it no name
    return made


def _find_unpicklable(target: Any, modules: list[types.ModuleType]) -> str:
    """Name the first global that cannot be pickled; empty where it is something else."""
    target = getattr(target, "func", target)
    places = [(getattr(target, "__module__", ""), getattr(target, "__globals__", {}))]
    places += [(module.__name__, vars(module)) for module in modules]
    for place, names in places:
        for name, value in list(names.items()):
            if name.startswith("__") or isinstance(value, (types.ModuleType, type)):
                continue
            if not callable(value) and not _is_picklable(value):
                return f"probably {name!r} in {place}"
    return ""


def _is_picklable(value: Any) -> bool:
    try:
        cloudpickle.dumps(value)
    except Exception:  # noqa: BLE001 (as above)
        return False
    return True


@contextlib.contextmanager
def _pickled_by_value(modules: list[types.ModuleType]) -> Iterator[None]:
    registered = []
    with _REGISTRY:
        for module in modules:
            if module.__name__ not in cloudpickle.list_registry_pickle_by_value():
                cloudpickle.register_pickle_by_value(module)
                registered.append(module)
        try:
            yield
        finally:
            for module in registered:
                cloudpickle.unregister_pickle_by_value(module)
