"""An environment in two archives, named by their content, made once and kept for later clusters."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import gzip
import hashlib
import importlib.metadata
import io
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from beampipe.environments.installed import LINKS, Installation, Member, list_installation
from beampipe.errors import EnvironmentPackError
from beampipe.private_files import make_private_folder, write_private

Format = Literal["tar", "squashfs"]
SUFFIXES: Final[Mapping[Format, str]] = {"tar": ".tar.gz", "squashfs": ".sqfs"}
FACTS: Final = "beampipe-pack.json"
KEEP_BYTES: Final = 10 * 10**9
"""What archives may take in the cache; those used longest ago go first."""
_KEEP_S: Final = 86400.0
_LEVEL: Final = 1
_PIECE: Final = 1 << 20
_FORMAT_VERSION: Final = 1  # of what is in an archive: another one is another content


@dataclass(frozen=True, slots=True)
class Layer:
    """Files that are packed together.

    Attributes
    ----------
    name : str
        ``"base"`` or ``"own"``, and what the content is.
    members : tuple of Member
    size : int
        Of the files [bytes].
    facts : str
        What is written beside them, as JSON.
    """

    name: str
    members: tuple[Member, ...]
    size: int
    facts: str


@dataclass(frozen=True, slots=True)
class Pack:
    """An environment as it can be sent: Python with what is installed, and the user's own code.

    Attributes
    ----------
    base, own : Layer
    form : {"tar", "squashfs"}
        Of the base; the small layer is always a tar.
    """

    base: Layer
    own: Layer
    form: Format

    @property
    def version(self) -> str:
        """What tells it from others, for people."""
        return f"{self.base.name.partition('-')[2][:12]}+{self.own.name.partition('-')[2][:12]}"

    @property
    def base_name(self) -> str:
        """The file of what is installed."""
        return self.base.name + SUFFIXES[self.form]

    @property
    def own_name(self) -> str:
        """The file of the user's own code."""
        return self.own.name + SUFFIXES["tar"]

    def describe(self) -> str:
        """In one line."""
        count = len(self.base.members) + len(self.own.members)
        size = self.base.size + self.own.size
        return (
            f"version {self.version}: Python {platform.python_version()}, {count:,} files, "
            f"{size / 1e6:,.0f} MB, {platform.machine()} with {_c_library()} or later"
        )


def plan_pack(form: Format = "tar", without: Iterable[str] = ()) -> Pack:
    """Look at what is in this environment, and name it; nothing is written but what was found.

    Parameters
    ----------
    form : {"tar", "squashfs"}
    without : iterable of str
        Installed packages to leave out.

    Raises
    ------
    EnvironmentPackError
        ``environment-pack``: it cannot be packed here.
    """
    return _plan(form, tuple(sorted(set(without))))


@functools.lru_cache(maxsize=4)
def _plan(form: Format, without: tuple[str, ...]) -> Pack:
    # Once in a process: the jobs of one cluster are to be equal.
    if sys.platform != "linux":
        raise EnvironmentPackError(
            "This environment cannot be packed.",
            why=f"it is one of {sys.platform}, and workers run Linux",
            fix="name an environment that is there: `venv`, `conda`, `apptainer`",
        )
    if (Path(sys.prefix) / "conda-meta").is_dir():
        raise EnvironmentPackError(
            "This environment cannot be packed.",
            why=f"'{sys.prefix}' is a conda environment, whose libraries have its path in them",
            fix="name one that workers see: `conda`; or pack a virtual environment (`uv venv`)",
        )
    if form == "squashfs" and shutil.which("sqfstar") is None:
        raise EnvironmentPackError(
            "No squashfs image can be made here.",
            why="the program sqfstar (of squashfs-tools) is not on PATH",
            fix="install it, or set `packed_format = 'tar'`",
        )
    found: Installation = list_installation(without)
    return Pack(_name("base", found.base), _name("own", found.own), form)


def _name(what: str, members: tuple[Member, ...]) -> Layer:
    """Name a layer by the content of its files, which is read once per state of them."""
    states = [(member, member.path.stat()) for member in members]
    size = sum(state.st_size for _, state in states)
    # Bytecode comes and goes as modules are imported; it goes along, and is no other content.
    sources = [each for each in states if not each[0].inside.endswith(".pyc")]
    text = "\n".join(
        f"{member.inside}\0{member.path}\0{state.st_size}\0{state.st_mtime_ns}\0{state.st_mode}"
        for member, state in sources
    )
    known = cache_folder() / "known" / hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
    facts = json.dumps(_facts() if what == "base" else {}, indent=1, sort_keys=True)
    with contextlib.suppress(OSError):
        digest = known.read_text(encoding="ascii")
        os.utime(known)
        return Layer(f"{what}-{digest}", members, size, facts)
    hashed = hashlib.sha256(f"{_FORMAT_VERSION} {what}".encode())
    for member, state in sources:
        hashed.update(f"{member.inside}\0{state.st_mode & 0o111}\0".encode("utf-8", "replace"))
        with member.path.open("rb") as file:
            hashed.update(hashlib.file_digest(file, "sha256").digest())
    digest = hashed.hexdigest()[:32]
    with contextlib.suppress(OSError):  # it only saves time
        make_private_folder(known.parent)
        write_private(known, digest)
    return Layer(f"{what}-{digest}", members, size, facts)


def _facts() -> dict[str, Any]:
    packages = {each.name: each.version for each in importlib.metadata.distributions()}
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "c_library": _c_library(),
        "prefix": sys.prefix,
        "packages": packages,
    }


def _c_library() -> str:
    return " ".join(filter(None, platform.libc_ver())) or "an unknown C library"


# -- the cache ----------------------------------------------------------------------------------


def cache_folder() -> Path:
    """Where archives are kept."""
    from beampipe.settings import load_settings

    return Path(load_settings().cache_dir).expanduser() / "environments"


def make_pack(pack: Pack, say: Callable[[str], None] = lambda _: None) -> tuple[Path, Path]:
    """Find the archives of an environment in the cache, or make them.

    Whoever is killed meanwhile leaves nothing that anybody takes for an archive.

    Parameters
    ----------
    pack : Pack
    say : callable
        Told what takes a while.

    Returns
    -------
    base, own : Path
        The archives. They stay for a day at least.

    Raises
    ------
    EnvironmentPackError
        ``environment-pack``: they cannot be written.
    """
    folder = cache_folder()
    try:
        make_private_folder(folder)
        with _locked(folder):
            _clear(folder)
            made = []
            for layer, name in ((pack.base, pack.base_name), (pack.own, pack.own_name)):
                place = folder / name
                if not place.exists():
                    _make(layer, place, say)
                os.utime(place)
                made.append(place)
            _throw_away(folder, keep=made)
    except OSError as error:
        raise EnvironmentPackError(
            f"The environment cannot be packed in '{folder}'.",
            why=str(error),
            fix="make room there, or set `cache_dir` to another place",
        ) from error
    return made[0], made[1]


def is_made(pack: Pack) -> bool:
    """Whether its archives are in the cache."""
    return all((cache_folder() / name).exists() for name in (pack.base_name, pack.own_name))


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Alone; the kernel lets go of it if this process is killed."""
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _clear(folder: Path) -> None:
    """Take away what somebody left who was killed: only who has the lock writes."""
    for left in folder.glob(".making-*"):
        left.unlink()


def _make(layer: Layer, place: Path, say: Callable[[str], None]) -> None:
    count, size = len(layer.members), layer.size / 1e6
    say(f"packing {count:,} files of the environment, {size:,.0f} MB, once")
    begin = time.monotonic()
    making = place.with_name(f".making-{place.name}")
    if place.suffix == SUFFIXES["squashfs"]:
        _make_image(layer, making)
    else:
        with _compressed(making) as stream:
            _write_tar(layer, stream)
    with making.open("rb") as file:
        os.fsync(file.fileno())
    making.replace(place)
    took_s = time.monotonic() - begin
    say(f"packed into {place.stat().st_size / 1e6:,.0f} MB in {took_s:.0f} s")


@contextlib.contextmanager
def _compressed(path: Path) -> Iterator[Any]:
    """A stream into a file in the format that every host can unpack."""
    try:
        from isal import igzip_threaded
    except ImportError:  # there is none for this processor
        with gzip.open(path, "wb", compresslevel=_LEVEL) as stream:
            yield stream
        return
    with igzip_threaded.open(path, "wb", compresslevel=_LEVEL, threads=1) as stream:  # type: ignore[no-untyped-call]
        yield stream


def _make_image(layer: Layer, path: Path) -> None:
    with subprocess.Popen(  # noqa: S603 (our own words)
        ["sqfstar", "-quiet", "-no-progress", "-comp", "zstd", path],  # noqa: S607
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        if process.stdin is None or process.stderr is None:  # they are pipes
            return
        with contextlib.suppress(BrokenPipeError):  # it says why
            _write_tar(layer, process.stdin)
            process.stdin.close()
        words = process.stderr.read().decode(errors="replace").strip()
    if process.returncode:
        raise OSError(f"sqfstar: {words or f'exit code {process.returncode}'}")


def _write_tar(layer: Layer, stream: Any) -> None:
    with tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for member in layer.members:
            with member.path.open("rb") as file:
                state = os.fstat(file.fileno())
                entry = tarfile.TarInfo(member.inside)
                entry.size, entry.mode = state.st_size, 0o755 if state.st_mode & 0o111 else 0o644
                # Bytecode is good for a source of this very time.
                entry.mtime = int(state.st_mtime)
                archive.addfile(entry, file)
        for name, target in LINKS.items() if layer.name.startswith("base") else ():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            archive.addfile(entry)
        facts = layer.facts.encode()
        entry = tarfile.TarInfo(FACTS)
        entry.size, entry.mode = len(facts), 0o644
        archive.addfile(entry, io.BytesIO(facts))


def _throw_away(folder: Path, keep: Iterable[Path]) -> None:
    """Keep the cache to its bound; what was used within a day may be on its way to a job."""
    kept, now = set(keep), time.time()
    archives = [path for path in folder.iterdir() if path.name.endswith(tuple(SUFFIXES.values()))]
    total = sum(path.stat().st_size for path in archives)
    for path in sorted(archives, key=lambda each: each.stat().st_mtime):
        if total <= KEEP_BYTES:
            break
        if path not in kept and now - path.stat().st_mtime > _KEEP_S:
            total -= path.stat().st_size
            path.unlink()
    for note in (folder / "known").glob("*"):
        if now - note.stat().st_mtime > 30 * _KEEP_S:
            note.unlink()


def place_pack(made: tuple[Path, Path], folder: Path) -> None:
    """Put archives into the folder of a cluster: whole or not at all, as links if that can be."""
    for source in made:
        place = folder / source.name
        if place.exists():
            continue
        placing = folder / f".placing-{source.name}-{os.getpid()}"
        placing.unlink(missing_ok=True)
        try:
            placing.hardlink_to(source)
        except OSError:  # another file system
            with source.open("rb") as read, placing.open("xb") as write:
                shutil.copyfileobj(read, write, _PIECE)
        placing.replace(place)
