"""Machine code of kernels, kept on the worker's machine under a digest of what it was made of.

One file for each signature, in ``<cache_dir>/kernels/<digest>``: a checksum, then Numba's own
serialised form. Files are written under another name first, so that readers and writers need no
lock. What is torn, foreign or of another version is compiled again. As the form is a pickle,
nothing is read from a folder that others may write to.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import io
import os
import pickle
import secrets
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from numba.core.caching import CompileResultCacheImpl, FunctionCache, _CacheLocator
from numba.core.environment import Environment, lookup_environment
from numba.core.serialize import dumps

from beampipe.errors import BeampipeError
from beampipe.execution.identity.model import combine
from beampipe.execution.storage import is_own
from beampipe.settings import load_settings

FOLDER = "kernels"
_CHECKSUM_BYTES = 32
_MOST_FOLDERS = 500
_PACKAGES = ("numba", "llvmlite", "numpy", "awkward")
"""Whose code ends up in what is compiled."""


def keep_compiled(kernel: Any, digest: str) -> None:
    """Have a kernel keep what is compiled of it, and load what there is.

    Where there is no place for it the kernel is compiled in every process, as without ``cache``.
    """
    folder = _find_folder(digest)
    if folder is None:
        return
    cache = _Cache(kernel.py_func, folder)
    kernel._cache = cache  # noqa: SLF001  there is no other way to give it another cache
    kernel.targetctx.refresh()
    for signature in cache.find_signatures(kernel.targetctx.codegen()):
        # What cannot be loaded after all is compiled when it is called.
        with contextlib.suppress(Exception):
            kernel.compile(signature)


def _find_folder(digest: str) -> Path | None:
    try:
        base = Path(load_settings().cache_dir) / FOLDER
    except BeampipeError:  # the settings are checked where runs are begun
        return None
    versions = [f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES]
    words = [digest, *versions, sys.version]
    folder = base / combine("kernel", *(word.encode() for word in words)).hex()
    try:
        base.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        os.utime(folder)
        _prune(base)
    except OSError:
        return None
    return folder if is_own(base) and is_own(folder) else None


def _prune(base: Path) -> None:
    """Remove what was not used for the longest time: every change of a kernel makes a folder."""
    folders = [path for path in base.iterdir() if path.is_dir()]
    if len(folders) <= _MOST_FOLDERS:
        return
    ages = {}
    for path in folders:
        with contextlib.suppress(OSError):
            ages[path] = path.stat().st_mtime
    for path in sorted(ages, key=ages.__getitem__)[: len(ages) - _MOST_FOLDERS // 2]:
        shutil.rmtree(path, ignore_errors=True)


class _Store:
    """What stands in for Numba's own files: an index that two processes write loses entries."""

    def __init__(self, folder: Path, names: dict[str, Any]) -> None:
        self.folder = folder
        self._names = names  # globals of the function

    def save(self, key: Any, data: Any) -> None:
        body = dumps((repr(key), key, data))
        path = self._path(key)
        growing = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        try:
            growing.write_bytes(hashlib.sha256(body).digest() + body)
            growing.replace(path)
        finally:
            growing.unlink(missing_ok=True)

    def load(self, key: Any) -> Any:
        found = self._read(self._path(key))
        return found[2] if found is not None and found[0] == repr(key) else None

    def list_keys(self) -> Iterator[Any]:
        with contextlib.suppress(OSError):
            for path in sorted(self.folder.glob("*.compiled")):
                found = self._read(path)
                if found is not None:
                    yield found[1]

    def flush(self) -> None:
        for path in self.folder.glob("*.compiled"):
            path.unlink(missing_ok=True)

    def _path(self, key: Any) -> Path:
        return self.folder / f"{hashlib.sha256(repr(key).encode()).hexdigest()[:32]}.compiled"

    def _read(self, path: Path) -> tuple[str, Any, Any] | None:
        try:
            content = path.read_bytes()
        except OSError:
            return None
        body = content[_CHECKSUM_BYTES:]
        if hashlib.sha256(body).digest() != content[:_CHECKSUM_BYTES]:
            return None
        try:
            found = _Unpickler(body, self._names).load()
        except Exception:  # noqa: BLE001  a pickle of another version may raise anything
            return None
        return found if isinstance(found, tuple) and len(found) == 3 else None


class _Unpickler(pickle.Unpickler):
    """Reads what Numba wrote, where the function's module cannot be imported.

    Numba imports it for the function's globals; on a worker it is nowhere, or another version.
    """

    def __init__(self, body: bytes, names: dict[str, Any]) -> None:
        super().__init__(io.BytesIO(body))
        self._names = names

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("numba.core.environment", "_rebuild_env"):
            return self._make_environment
        return super().find_class(module, name)

    def _make_environment(self, module: str, constants: list[Any], name: str) -> Any:
        del module
        found = lookup_environment(name)
        if found is None:
            found = Environment(self._names)
            found.consts[:] = constants
            found.env_name = name
            Environment._memo[name] = found  # noqa: SLF001  as numba does
        return found


class _Place(_CacheLocator):
    """Where numba's own machinery looks; the store has the folder itself."""

    def __init__(self, function: Any, folder: Path) -> None:
        self._py_file = function.__code__.co_filename  # numba names it in a warning
        self._folder = folder

    def get_cache_path(self) -> str:
        return str(self._folder)

    def get_source_stamp(self) -> str:
        return self._folder.name

    def get_disambiguator(self) -> str | None:
        return None

    @classmethod
    def from_function(cls, py_func: Any, py_file: str) -> None:
        """Nothing is found by its source file."""


class _Form(CompileResultCacheImpl):
    """Numba's form of compiled code, without its search for the source file."""

    def __init__(self, function: Any, folder: Path) -> None:
        self._lineno = function.__code__.co_firstlineno
        self._locator = _Place(function, folder)
        self._filename_base = ""


class _Cache(FunctionCache):
    """What a kernel asks before it compiles."""

    def __init__(self, function: Any, folder: Path) -> None:
        self._name = repr(function)
        self._py_func = function
        self._impl = _Form(function, folder)
        self._cache_path = str(folder)
        self._cache_file: Any = _Store(folder, function.__globals__)
        self._enabled = True

    def find_signatures(self, codegen: Any) -> list[Any]:
        """Those that were compiled for a processor like this one."""
        known = {repr(key): key[0] for key in self._cache_file.list_keys()}
        wanted = {repr(self._key(sig, codegen)): sig for sig in known.values()}
        return [sig for key, sig in wanted.items() if key in known]

    def _key(self, sig: Any, codegen: Any) -> Any:
        return self._index_key(sig, codegen)  # type: ignore[no-untyped-call]

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)  # type: ignore[no-untyped-call]
        except Exception:  # noqa: BLE001  whatever is wrong with it, it can be compiled
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        with contextlib.suppress(Exception):  # a full disk is no reason to stop
            super().save_overload(sig, data)  # type: ignore[no-untyped-call]
