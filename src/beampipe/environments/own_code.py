"""Which code is the user's own, and which was installed."""

from __future__ import annotations

import contextlib
import functools
import os
import site
import sys
import sysconfig
import traceback
import types
from collections.abc import Iterator
from pathlib import Path

_OURS = Path(__file__).parents[1]
_PACKAGE_FOLDERS = tuple(f"{os.sep}{name}{os.sep}" for name in ("site-packages", "dist-packages"))


def is_own_module(module: types.ModuleType) -> bool:
    """Whether a module is the user's own code, not part of Python or of an installed package."""
    path = getattr(module, "__file__", None)
    name = getattr(module, "__name__", "")
    if not path or name in {"__main__", ""} or name.split(".")[0] == "beampipe":
        return False
    if sys.modules.get(name) is not module or not isinstance(module, types.ModuleType):
        return False
    return not is_installed(path)


def is_installed(path: str) -> bool:
    """Whether a source file belongs to Python or to an installed package."""
    if path.startswith("<frozen "):
        return True
    # Asked of two thousand modules at the beginning of a run: as words, not as `Path`s.
    place = os.path.normpath(path)
    if place.startswith(_installed_folders()):
        return True
    # Sites put whole environments on PYTHONPATH, which no list of this Python's folders has.
    return any(folder in place for folder in _PACKAGE_FOLDERS)


def where_raised(error: BaseException) -> str:
    """The last line of the user's own code that an exception went through; may be empty."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not (is_installed(frame.filename) or Path(frame.filename).is_relative_to(_OURS)):
            line = f": {frame.line}" if frame.line else ""
            return f"{frame.filename}, line {frame.lineno}, in {frame.name}{line}"
    return ""


@contextlib.contextmanager
def users_code_importable(path: str) -> Iterator[None]:
    """Let modules be imported from the folder of a source file, if nowhere else they are found.

    Parameters
    ----------
    path : str
        A source file of the user's; of a package's module, the package is importable. May be empty.
    """
    if not path:
        yield
        return
    folder = Path(path).parent
    while (folder / "__init__.py").is_file():
        folder = folder.parent
    before = list(sys.path)
    sys.path.append(str(folder))
    try:
        yield
    finally:
        sys.path[:] = before


@functools.cache
def _installed_folders() -> tuple[str, ...]:
    """The folders of this Python, each with a separator at its end."""
    folders = {*site.getsitepackages(), site.getusersitepackages()}
    paths = sysconfig.get_paths()
    folders |= {paths["stdlib"], paths["platstdlib"], paths["purelib"], paths["platlib"]}
    found = {Path(folder) for folder in folders}
    return tuple(f"{folder}{os.sep}" for folder in found | {folder.resolve() for folder in found})
