"""Files that a processor opens besides what it is given, noticed while it runs.

A change of them would go unnoticed in the identity of a run, unless they are declared. Python tells
of every file that it opens; what is opened by a library written in another language is not seen.
"""

from __future__ import annotations

import contextlib
import os
import site
import sys
import sysconfig
import tempfile
import threading
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

_MOST = 100
_CODE = {".py", ".pyc", ".pyi", ".so", ".pyd", ".nbi", ".nbc", ".dylib", ".dll"}
_KEPT = {".column", ".index"}
"""Of what we keep ourselves, wherever a site or a worker without a home has put that."""
_SYSTEM = ("/proc", "/sys", "/dev", "/etc", "/run", "/usr", "/lib", "/lib64")
_LOCAL = threading.local()
_LOCK = threading.Lock()
_is_installed = False


@contextlib.contextmanager
def watch_opens(into: set[str], *, given: Iterable[str] = (), is_on: bool = True) -> Iterator[None]:
    """Note the files that this thread opens for reading, and that nobody knows of.

    Parameters
    ----------
    into : set of str
        Where absolute paths are added.
    given : iterable of str
        Files that it is to open: the ROOT files of the chunk.
    is_on : bool
        Whether to do anything at all.
    """
    if not is_on:
        yield
        return
    _install()
    seen: set[str] = set()
    _LOCAL.seen = seen
    try:
        yield
    finally:
        _LOCAL.seen = None
        known = {os.path.realpath(path) for path in given}
        found = {os.path.realpath(path) for path in seen} - known
        into.update(sorted(path for path in found if _is_worth_telling(path))[:_MOST])


def _install() -> None:
    """Put the hook in its place; Python has no way to take one away again."""
    global _is_installed  # noqa: PLW0603 (there is one hook per process)
    with _LOCK:
        if not _is_installed:
            sys.addaudithook(_hook)
            _is_installed = True


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "open":
        return
    seen: set[str] | None = getattr(_LOCAL, "seen", None)
    if seen is None:
        return
    path, _, flags = arguments
    is_read = isinstance(flags, int) and flags & os.O_ACCMODE != os.O_WRONLY
    is_new = isinstance(flags, int) and bool(flags & (os.O_TRUNC | os.O_DIRECTORY))
    if is_read and not is_new and isinstance(path, (str, bytes)):
        # Made absolute at once: the processor may go to another folder.
        seen.add(os.path.abspath(os.fsdecode(path)))  # noqa: PTH100 (no pathlib in a hook)


def _is_worth_telling(path: str) -> bool:
    place = Path(path)
    if place.suffix in _CODE | _KEPT or not place.is_file():
        return False
    return not any(place.is_relative_to(folder) for folder in _folders_of_python())


@cache
def _folders_of_python() -> tuple[Path, ...]:
    """Where Python, packages, caches and the system keep their files."""
    cache_home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    paths = {sys.prefix, sys.base_prefix, *site.getsitepackages(), site.getusersitepackages()}
    paths |= set(sysconfig.get_paths().values()) | {cache_home, *_SYSTEM}
    folders = {Path(os.path.realpath(os.path.expanduser(path))) for path in paths}  # noqa: PTH111
    folders.add(Path(__file__).resolve().parents[1])
    # A prefix of "/" or "/usr" in a container would hide everything of the user's.
    temporary = Path(os.path.realpath(tempfile.gettempdir()))
    hidden = {Path("/"), Path.home().resolve(), temporary}
    return tuple(sorted(folders - hidden))
