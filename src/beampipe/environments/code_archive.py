"""The user's own modules that a processor imports when it runs, as an archive that travels.

Functions and classes travel by value. What an `import` statement inside of them asks for must be
found on the worker, which may see no file of ours: so the files of such modules go along, and those
of what they import in turn, and of the packages they are in.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import importlib.machinery
import importlib.util
import io
import sys
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from beampipe.environments.own_code import is_installed
from beampipe.errors import ProcessorPickleError

_Spec = importlib.machinery.ModuleSpec

_LARGEST_DATA, _LARGEST_ARCHIVE = 2 * 10**6, 50 * 10**6
_NO_DATA: Final = {".pyc", ".pyo", ".root", ".parquet"}
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # the same files are the same archive
_MADE_HERE: set[str] = set()


@dataclass(frozen=True, slots=True)
class CodeArchive:
    """Files of modules, named by their content.

    Attributes
    ----------
    digest : str
        Of the files.
    data : bytes
        A zip archive.
    names : tuple of str
        Of the modules.
    """

    digest: str
    data: bytes
    names: tuple[str, ...]


def pack_modules(names: Iterable[str]) -> CodeArchive | None:
    """Pack the user's own among some modules, and what they import; None where there are none.

    Nothing is imported for that.

    Raises
    ------
    ProcessorPickleError
        ``processor-pickle``: it is too much to be sent.
    """
    found = dict(_collect(names))
    if not found:
        return None
    files: dict[str, bytes] = {}
    for path, inside in sorted(_list_files(found), key=lambda pair: pair[1]):
        with contextlib.suppress(OSError):
            files[inside] = path.read_bytes()
    size = sum(map(len, files.values()))
    if size > _LARGEST_ARCHIVE:
        largest = max(files, key=lambda name: len(files[name]))
        raise ProcessorPickleError(
            f"The modules that the processor imports when it runs have {size / 1e6:.0f} MB.",
            why=f"{len(files)} files, the largest is '{largest}'; {_LARGEST_ARCHIVE / 1e6:.0f} MB "
            "are sent at most",
            fix="install them where the workers run",
        )
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for inside, content in files.items():
            archive.writestr(zipfile.ZipInfo(inside, _EPOCH), content, zipfile.ZIP_DEFLATED)
    words = [word for pair in files.items() for word in (pair[0].encode(), pair[1])]
    digest = hashlib.sha256(b"".join(hashlib.sha256(word).digest() for word in words)).hexdigest()
    _MADE_HERE.add(digest)
    return CodeArchive(digest, written.getvalue(), tuple(sorted(found)))


def lay_out_code(archive: CodeArchive | None, folder: Path) -> Path | None:
    """Make the modules importable in this process, before all others of their names.

    Parameters
    ----------
    archive : CodeArchive or None
    folder : Path
        This process' own.

    Returns
    -------
    Path or None
        For `take_away_code`; None where nothing is needed: this process has packed them itself.
    """
    if archive is None or archive.digest in _MADE_HERE:
        return None
    place = folder / f"beampipe-code-{archive.digest[:16]}"
    with zipfile.ZipFile(io.BytesIO(archive.data)) as packed:
        packed.extractall(place)
    _forget_modules(archive.names)  # another run's, which were other files
    sys.path.insert(0, str(place))
    importlib.invalidate_caches()
    return place


def take_away_code(place: Path | None, archive: CodeArchive | None) -> None:
    """Make what was laid out importable no longer."""
    if place is None or archive is None:
        return
    with contextlib.suppress(ValueError):
        sys.path.remove(str(place))
    _forget_modules(archive.names)


def find_module(name: str) -> _Spec | None:
    """Find a module without running it, nor the packages it is in."""
    top, *inner = name.split(".")
    loaded = sys.modules.get(top)
    spec: _Spec | None = getattr(loaded, "__spec__", None)
    if spec is None:
        with contextlib.suppress(ImportError, ValueError, AttributeError):
            spec = importlib.util.find_spec(top)
    path = top
    for part in inner:
        if spec is None or spec.submodule_search_locations is None:
            return None
        path = f"{path}.{part}"
        places = list(spec.submodule_search_locations)
        spec = importlib.machinery.PathFinder.find_spec(path, places)
    return spec


@dataclass(frozen=True, slots=True)
class ImportUse:
    """An import in a file or a function."""

    name: str
    level: int
    members: tuple[str, ...]

    def absolute(self, package: str) -> str:
        """The module that is meant, in a package."""
        if not self.level:
            return self.name
        parts = package.split(".")[: len(package.split(".")) - self.level + 1]
        return ".".join([*parts, self.name] if self.name else parts)


def list_imports(tree: ast.Module) -> Iterator[ImportUse]:
    """All imports of a file, also those inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (ImportUse(alias.name, 0, ()) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            members = tuple(alias.name for alias in node.names)
            yield ImportUse(node.module or "", node.level, members)


def _collect(names: Iterable[str]) -> Iterator[tuple[str, _Spec]]:
    """The user's own modules that importing these would run."""
    waiting, seen = list(names), set[str]()
    while waiting:
        name = waiting.pop()
        if not name or name in seen:
            continue
        seen.add(name)
        spec = _find_own(name)
        if spec is None:
            continue
        yield name, spec
        if "." in name:
            waiting.append(name.rpartition(".")[0])
        package = name if spec.submodule_search_locations is not None else name.rpartition(".")[0]
        for use in _imports_of(spec):
            module = use.absolute(package)
            waiting += [module, *(f"{module}.{member}" for member in use.members)]


def _find_own(name: str) -> _Spec | None:
    top = name.partition(".")[0]
    if top == "beampipe" or top in sys.stdlib_module_names:
        return None
    spec = find_module(name)
    if spec is None or spec.origin in {"built-in", "frozen"}:
        return None
    place = spec.origin or next(iter(spec.submodule_search_locations or ()), "")
    return None if not place or is_installed(place) else spec


def _imports_of(spec: _Spec) -> list[ImportUse]:
    if spec.origin is None or not spec.origin.endswith(".py"):
        return []
    try:
        return list(list_imports(ast.parse(Path(spec.origin).read_bytes())))
    except (OSError, SyntaxError, ValueError):  # importing it will say so
        return []


def _list_files(found: dict[str, _Spec]) -> Iterator[tuple[Path, str]]:
    """The files of modules, and the data beside those of packages, with their names inside."""
    for name, spec in found.items():
        inside = name.replace(".", "/")
        if spec.origin is not None:
            path = Path(spec.origin)
            is_package = spec.submodule_search_locations is not None
            suffix = "".join(path.suffixes)
            yield path, f"{inside}/{path.name}" if is_package else f"{inside}{suffix}"
        for folder in map(Path, spec.submodule_search_locations or ()):
            for path in folder.iterdir() if folder.is_dir() else ():
                if _is_data(path):
                    yield path, f"{inside}/{path.name}"


def _is_data(path: Path) -> bool:
    if path.suffix in {".py", *_NO_DATA} or path.name.startswith("."):
        return False
    return path.is_file() and path.stat().st_size <= _LARGEST_DATA


def _forget_modules(names: Iterable[str]) -> None:
    for name in names:
        sys.modules.pop(name, None)
