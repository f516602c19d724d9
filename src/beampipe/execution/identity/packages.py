"""What is the user's own and compared by content, and what is installed and has a version."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import re
import sys
import types
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from beampipe.environments.own_code import is_installed
from beampipe.execution.identity.model import MODULE, PACKAGE, Identity, Part, combine

ALWAYS = (
    "numpy",
    "awkward",
    "awkward-cpp",
    "uproot",
    "coffea",
    "hist",
    "boost-histogram",
    "vector",
    "numba",
)
"""Packages that have a hand in every result, whether the processor names them or not."""

OURS = "beampipe"
COMPUTES = 2
"""To be raised when a change of Beampipe changes what a chunk holds or how outputs are added.

For what a column holds when it is read, raise `column_cache.READS` as well.
"""


def is_own(module_name: str | None) -> bool:
    """Whether what was defined in a module is the user's own code, to be compared by content.

    A module that is not loaded (its functions were unpickled) counts as the user's own.
    """
    module = sys.modules.get(module_name or "")
    if module is None or module_name == "__main__":
        return True
    return is_own_module(module)


def is_own_module(module: types.ModuleType) -> bool:
    """Whether a module is the user's own; an editable install is, Beampipe itself is not."""
    name = getattr(module, "__name__", "")
    if name == "__main__":
        return True
    if name.partition(".")[0] == OURS or name in sys.builtin_module_names:
        return False
    path = getattr(module, "__file__", None)
    if path is not None:
        return not is_installed(path)
    folders = [str(folder) for folder in getattr(module, "__path__", ())]
    if folders:  # a package without an __init__.py
        return not any(map(is_installed, folders))
    # Built in, frozen, or made by hand.
    return getattr(module, "__spec__", None) is None


def is_importable(value: Any) -> bool:
    """Whether a function or class is what its name says, so that the name stands for it."""
    found: Any = sys.modules.get(getattr(value, "__module__", None) or "")
    for part in getattr(value, "__qualname__", "<locals>").split("."):
        found = getattr(found, part, None)
    return found is value


def top_level(module_name: str) -> str:
    """The package that a module belongs to."""
    return module_name.partition(".")[0]


def describe_packages(modules: Iterable[str]) -> dict[str, Part]:
    """Give the versions of Python, of what always computes, and of the packages that were met."""
    parts = {"python": _part(f"{sys.version_info.major}.{sys.version_info.minor}")}
    parts[f"{PACKAGE}{OURS}"] = Part(
        combine("ours", _own_version().encode(), str(COMPUTES).encode()).hex(), _own_version()
    )
    for name in ALWAYS:
        version = _version(name)
        if version is not None:
            parts[f"{PACKAGE}{name}"] = _part(version)
    for module in sorted(set(modules)):
        if module == OURS or module in sys.stdlib_module_names:
            continue
        for distribution in _distributions(module):
            parts[f"{PACKAGE}{distribution}"] = _part(_version(distribution) or "")
        if not _distributions(module):
            parts[f"{MODULE}{module} (no version)"] = Part(_digest_files(module))
    return parts


def refresh_versions(before: Identity, inputs: Identity) -> Identity:
    """What an identity is now, as far as that follows without its code.

    Parameters
    ----------
    before : Identity
        As it was.
    inputs : Identity
        That of nothing but the declared inputs as they are now.
    """
    known = describe_packages(())
    parts = {}
    for name, part in before.parts.items():
        kind, _, distribution = name.partition(" ")
        if name in known:
            parts[name] = known[name]
        elif kind == "package":
            parts[name] = _part(_version(distribution) or "")
        elif kind != "input":
            parts[name] = part
    parts |= {name: part for name, part in inputs.parts.items() if name.startswith("input ")}
    return Identity(parts, before.unhashable, before.datasets, before.module)


def _part(version: str) -> Part:
    return Part(combine("version", version.encode()).hex(), version)


def _own_version() -> str:
    """The release that this is, or will be.

    A development version changes its number with every commit, most of which change no result;
    what does raises `COMPUTES`.
    """
    found = re.match(r"[0-9]+(\.[0-9]+)*", _version(OURS) or "0")
    return found[0] if found else "0"


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _distributions(module: str) -> list[str]:
    """What was installed under which a top-level module came; empty where nobody says."""
    if _version(module) is not None:
        return [module]  # nearly always, and reading all packages' lists of files takes long
    return sorted(set(_all_distributions().get(module, ())))


@cache
def _all_distributions() -> dict[str, list[str]]:
    return dict(importlib.metadata.packages_distributions())


def _digest_files(module: str) -> str:
    """The content of a module that lies among the installed ones and belongs to no package."""
    spec = importlib.util.find_spec(module)
    places = [spec.origin] if spec is not None and spec.origin else []
    if spec is not None and spec.submodule_search_locations:
        for folder in spec.submodule_search_locations:
            places += map(str, sorted(Path(folder).rglob("*.py")))
    words = [
        hashlib.sha256(Path(place).read_bytes()).digest()
        for place in places
        if Path(place).is_file()
    ]
    return combine("files", *words).hex()
