"""The files of this process' environment: its Python, what is installed, and the user's own code.

Sorted into two layers, by how often they change: what is installed, and what the user works on.
Together they are an environment that needs nothing of the computer it is on but a C library.
"""

from __future__ import annotations

import ast
import importlib.metadata
import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from beampipe.errors import EnvironmentPackError

VERSION: Final = f"python{sys.version_info.major}.{sys.version_info.minor}"
LIBRARY: Final = f"{sys.platlibdir}/{VERSION}"
PACKAGES: Final = f"{LIBRARY}/site-packages"
MORE_LIBRARIES: Final = "lib/more"
"""Where libraries of this system lie that Python's own modules use, for hosts without them."""
LINKS: Final = {"bin/python": VERSION, "bin/python3": VERSION}
_TAG: Final = sys.implementation.cache_tag or ""
_PACKAGE_FOLDERS: Final = {"site-packages", "dist-packages"}
_NOT_OF_PYTHON: Final = {"test", "tests", "idlelib", "turtledemo", "ensurepip", *_PACKAGE_FOLDERS}
_NOT_OF_PROJECTS: Final = {"build", "dist", "node_modules", "__pypackages__"}
_NO_CODE: Final = {".a", ".root", ".parquet", ".pyo"}
# What comes with the C library is the host's affair, and must be.
_OF_THE_C_LIBRARY: Final = re.compile(
    r"(ld-linux|libc|libm|libdl|librt|libpthread|libutil|libresolv|libnsl|libanl|linux-vdso)[-.]"
)
_LARGEST_OWN: Final = 500 * 10**6


@dataclass(frozen=True, slots=True, order=True)
class Member:
    """A file, and what it is to be called in the environment.

    Attributes
    ----------
    inside : str
    path : Path
    """

    inside: str
    path: Path


@dataclass(frozen=True, slots=True)
class Installation:
    """All files of an environment.

    Attributes
    ----------
    base : tuple of Member
        Python, the standard library, installed packages.
    own : tuple of Member
        Editable installs and what is on ``PYTHONPATH``.
    """

    base: tuple[Member, ...]
    own: tuple[Member, ...]


def list_installation(without: Collection[str] = ()) -> Installation:
    """List what this process' environment is made of.

    Parameters
    ----------
    without : collection of str
        Installed packages to leave out, by the names under which they are installed.

    Raises
    ------
    EnvironmentPackError
        ``environment-pack``: it cannot be taken along, and why.
    """
    left_out = set(_files_of(without))
    base: dict[str, Path] = {}
    for member in (*_list_python(), *_list_packages(left_out)):
        base.setdefault(member.inside, member.path)  # earlier on the path goes first
    own: dict[str, Path] = {}
    for member in _list_own():
        own.setdefault(member.inside, member.path)
    ours = "beampipe/__init__.py"
    if ours not in own and f"{PACKAGES}/{ours}" not in base:
        raise EnvironmentPackError(
            "This environment cannot be packed.",
            why="Beampipe itself is neither installed in it nor on PYTHONPATH",
            fix="install it: `pip install beampipe`",
        )
    _check_size(own)
    return Installation(_sort(base), _sort(own))


def _sort(found: dict[str, Path]) -> tuple[Member, ...]:
    return tuple(Member(inside, found[inside]) for inside in sorted(found))


def _check_size(own: dict[str, Path]) -> None:
    sizes = {inside: path.stat().st_size for inside, path in own.items()}
    if sum(sizes.values()) > _LARGEST_OWN:
        largest = max(sizes, key=lambda inside: sizes[inside])
        raise EnvironmentPackError(
            f"Your own code has {sum(sizes.values()) / 1e6:.0f} MB.",
            why=f"editable installs and PYTHONPATH lead to {len(own)} files, the largest is "
            f"'{own[largest]}'; {_LARGEST_OWN / 1e6:.0f} MB are packed at most",
            fix="keep data out of the folders of the code",
        )


# -- Python itself ------------------------------------------------------------------------------


def _list_python() -> Iterator[Member]:
    program = Path(os.path.realpath(getattr(sys, "_base_executable", sys.executable)))
    yield Member(f"bin/{VERSION}", program)
    shared = sysconfig.get_config_var("INSTSONAME") or ""
    library = Path(sysconfig.get_config_var("LIBDIR") or "", shared)
    if shared.startswith("libpython") and ".so" in shared and library.is_file():
        yield Member(f"lib/{shared}", library)
    standard = Path(sysconfig.get_path("stdlib"))
    modules: list[Path] = []
    for path, inside in _walk(standard, _NOT_OF_PYTHON):
        if inside.startswith("config-"):
            continue
        if path.suffix == ".so":
            modules.append(path)
        yield Member(f"{LIBRARY}/{inside}", path)
    yield from _list_libraries([program, *modules])


def _list_libraries(modules: Iterable[Path]) -> Iterator[Member]:
    """The libraries of this system that Python's own modules use."""
    try:
        told = subprocess.run(  # noqa: S603 (files of this environment)
            ["ldd", *map(str, modules)],  # noqa: S607 (whichever is here)
            capture_output=True, text=True, check=False, timeout=60,
        ).stdout  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return
    found = dict(re.findall(r"^\s*(\S+) => (/\S+) ", told, re.MULTILINE))
    for name, path in sorted(found.items()):
        if not _OF_THE_C_LIBRARY.match(name) and not name.startswith("libpython"):
            yield Member(f"{MORE_LIBRARIES}/{name}", Path(path))


# -- what is installed --------------------------------------------------------------------------


def package_folders() -> list[Path]:
    """Where packages are installed that this process can import, in its order."""
    found = [Path(entry) for entry in sys.path if entry]
    return [folder for folder in dict.fromkeys(found) if folder.name in _PACKAGE_FOLDERS]


def _list_packages(left_out: Collection[Path]) -> Iterator[Member]:
    for folder in package_folders():
        for path, inside in _walk(folder, ()):
            is_link = "/" not in inside and _is_link_to_code(path)
            if _source_of(path) not in left_out and not is_link:
                yield Member(f"{PACKAGES}/{inside}", path)


def _source_of(path: Path) -> Path:
    """A file itself; of bytecode the source, for its installer may not have told of the former."""
    if path.suffix == ".pyc" and path.parent.name == "__pycache__":
        return path.parents[1] / f"{path.name.partition('.')[0]}.py"
    return path


def _files_of(packages: Iterable[str]) -> Iterator[Path]:
    for name in packages:
        try:
            files = importlib.metadata.files(name)
        except importlib.metadata.PackageNotFoundError as error:
            raise EnvironmentPackError(
                f"There is no installed package '{name}' to be left out.",
                why="the key `packed_without` names it",
                fix="write it as `pip list` does, or leave it out of that list",
            ) from error
        for file in files or ():
            yield Path(str(file.locate()))


def _is_link_to_code(path: Path) -> bool:
    """Whether a file in a folder of packages only leads to code elsewhere."""
    if path.suffix == ".pth":
        return bool(list(_read_pth(path)) or re.search(r"__editable__", _read(path)))
    return bool(re.fullmatch(r"__editable___.*_finder\.py", path.name))


# -- the user's own code ------------------------------------------------------------------------


def _list_own() -> Iterator[Member]:
    folders = [Path(part).absolute() for part in _split(os.environ.get("PYTHONPATH", ""))]
    for place in package_folders():
        for link in sorted(place.glob("*.pth")):
            folders += _read_pth(link)
        for finder in sorted(place.glob("__editable___*_finder.py")):
            yield from _list_mapped(finder)
    for folder in dict.fromkeys(folders):
        if folder.name in _PACKAGE_FOLDERS or not folder.is_dir():
            continue
        for path, inside in _walk(folder, _NOT_OF_PROJECTS):
            yield Member(inside, path)


def _split(text: str) -> list[str]:
    return [part for part in text.split(os.pathsep) if part]


def _read_pth(path: Path) -> Iterator[Path]:
    """The folders that a ``.pth`` file puts on the path."""
    for line in _read(path).splitlines():
        if line.strip() and not line.startswith(("#", "import ", "import\t")):
            folder = Path(path.parent, line.strip())
            if folder.is_dir():
                yield folder


def _list_mapped(finder: Path) -> Iterator[Member]:
    """The packages that setuptools' finder of an editable install leads to."""
    for node in ast.walk(ast.parse(_read(finder) or "")):
        target = node.target if isinstance(node, ast.AnnAssign) else None
        if not isinstance(target, ast.Name) or target.id != "MAPPING" or node.value is None:  # type: ignore[attr-defined]
            continue
        for name, place in ast.literal_eval(node.value).items():  # type: ignore[attr-defined]
            inside, path = name.replace(".", "/"), Path(place)
            if path.is_dir():
                yield from (
                    Member(f"{inside}/{rest}", each) for each, rest in _walk(path, _NOT_OF_PROJECTS)
                )
            elif path.with_suffix(".py").is_file():
                yield Member(f"{inside}.py", path.with_suffix(".py"))


# -- shared -------------------------------------------------------------------------------------


def _walk(top: Path, skipped: Collection[str]) -> Iterator[tuple[Path, str]]:
    """The files below a folder that a program may need, with their paths from there."""
    start = len(str(top)) + 1
    for place, folders, names in os.walk(top, followlinks=False):
        folders[:] = [name for name in sorted(folders) if _is_wanted(place, name, skipped)]
        for name in names:
            suffix = name[name.rfind(".") :]
            if suffix in _NO_CODE or (suffix == ".pyc" and f".{_TAG}." not in name):
                continue
            path = f"{place}/{name}"
            if os.path.isfile(path):  # noqa: PTH113 (of 30,000; a link that leads nowhere is none)
                yield Path(path), path[start:]


def _is_wanted(place: str, name: str, skipped: Collection[str]) -> bool:
    hidden = name.startswith(".") and not place.endswith(tuple(_PACKAGE_FOLDERS))
    is_environment = name not in skipped and os.path.exists(f"{place}/{name}/pyvenv.cfg")  # noqa: PTH110
    return not hidden and name not in skipped and not is_environment


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
