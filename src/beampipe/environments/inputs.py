"""Files that a processor reads besides the ROOT files, on workers that do not see ours."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beampipe.errors import ArgumentError
from beampipe.private_files import make_private_folder, write_private

if TYPE_CHECKING:
    from distributed import Client

LARGEST_BYTES = 100 * 10**6
"""More than that of all files together is not sent to workers."""
_SAMPLE = 50
_KEEP_S = 7 * 86400.0
_HERE = threading.local()


@dataclass(frozen=True, slots=True)
class InputFile:
    """A declared input.

    Attributes
    ----------
    path : str
        Where it is on the client; absolute.
    digest : str
        Of its content; empty where it is known that workers see it.
    size : int
        [bytes]
    data : bytes or None
        Its content; None where it is too large to be sent, or need not be.
    """

    path: str
    digest: str = ""
    size: int = 0
    data: bytes | None = None


def list_inputs(paths: Iterable[Path]) -> tuple[InputFile, ...]:
    """Declared inputs, for workers that see them; of a folder all files in it."""
    return tuple(InputFile(str(path)) for path in _list_files(paths))


def find_unsent(paths: Iterable[Path]) -> list[str]:
    """Declared inputs that are too large to be sent, with those before them that are."""
    unsent, left = [], LARGEST_BYTES
    for path in _list_files(paths):
        with contextlib.suppress(OSError):
            size = path.stat().st_size
            if size > left:
                unsent.append(str(path))
            else:
                left -= size
    return unsent


def pack_inputs(paths: Iterable[Path]) -> tuple[InputFile, ...]:
    """Read declared inputs; of a folder all files in it.

    Raises
    ------
    ArgumentError
        ``run-argument``: one cannot be read.
    """
    packed = []
    left = LARGEST_BYTES
    for path in _list_files(paths):
        try:
            size = path.stat().st_size
            # What is too large to be sent is only named by its content, piece by piece.
            data = path.read_bytes() if size <= left else None
            digest = _digest(path) if data is None else hashlib.sha256(data).hexdigest()
        except OSError as error:
            raise ArgumentError(
                f"The declared input {path} cannot be read.",
                why=error.strerror or str(error),
                fix="correct `inputs` (--input), or leave the file out",
            ) from error
        left -= 0 if data is None else len(data)
        packed.append(InputFile(str(path), digest, size, data))
    return tuple(packed)


@functools.lru_cache(maxsize=8)
def lay_out_inputs(files: tuple[InputFile, ...]) -> Mapping[str, str]:
    """Find each input on this host, or put it there: once for all of a user's workers on it.

    Returns
    -------
    dict of str to str
        Where each is, by its path on the client. Those that are not here are missing.
    """
    places = {}
    for file in files:
        if not file.digest or _is_same(Path(file.path), file):
            places[file.path] = file.path
        elif file.data is not None:
            places[file.path] = str(_keep(file, file.data))
    return places


def check_large_inputs(client: Client, files: Iterable[InputFile]) -> None:
    """Refuse inputs that are too large to be sent, and that workers do not see.

    Some of the workers that there are now are asked; where there are none yet, nobody is.

    Raises
    ------
    ArgumentError
        ``run-argument``: which, and what to do instead.
    """
    large = [(file.path, file.size) for file in files if file.digest and file.data is None]
    if not large:
        return
    some = list(client.scheduler_info(n_workers=_SAMPLE)["workers"])[:_SAMPLE]
    if not some:
        return
    answers = client.run(_list_unseen, large, workers=some, on_error="ignore")
    unseen = {path: address for address, paths in answers.items() for path in paths}
    if not unseen:
        return
    path, address = next(iter(unseen.items()))
    size = dict(large)[path]
    raise ArgumentError(
        f"The declared input {path} cannot reach the workers.",
        why=f"it has {size / 1e6:,.0f} MB, and all inputs together are sent up to "
        f"{LARGEST_BYTES / 1e6:.0f} MB; worker {address} does not see it where it is",
        fix="put it, under this very path, where workers see it (the site's `shared_folders`), or "
        "on CVMFS or EOS; or let the processor read it by URL and leave it out of `inputs`",
    )


def _list_unseen(files: list[tuple[str, int]]) -> list[str]:
    """Which files are not on this host, or are others by their size (runs on a worker)."""
    unseen = []
    for path, size in files:
        try:
            is_seen = Path(path).stat().st_size == size
        except OSError:
            is_seen = False
        if not is_seen:
            unseen.append(path)
    return unseen


@contextlib.contextmanager
def inputs_at(places: Mapping[str, str]) -> Iterator[None]:
    """Let `input_path` know in this thread where the inputs of a run are."""
    before = getattr(_HERE, "places", {})
    _HERE.places = places
    try:
        yield
    finally:
        _HERE.places = before


def inputs_here() -> tuple[str, ...]:
    """Where the inputs of the run are that this thread works for."""
    return tuple(getattr(_HERE, "places", {}).values())


def input_path(path: Any) -> Path:
    """Where a declared input is on the worker that asks.

    Workers may not see the files of the computer from which a run was started. What is declared
    as ``inputs=`` (``--input``) is sent to them, up to 100 MB; a processor finds it by this
    function. Where the file is seen, it gives its own path.

    Parameters
    ----------
    path : path
        As declared: absolute, relative, or its name alone, if no other input has that.

    Returns
    -------
    Path
        To be opened; not to be written to.

    Raises
    ------
    FileNotFoundError
        It was not declared as an input of this run, and is not there either.

    Examples
    --------
    >>> import beampipe as bp
    >>> def process(events):
    ...     weights = bp.input_path("corrections.json").read_text()  # doctest: +SKIP
    """
    wanted = Path(path).expanduser()
    places: Mapping[str, str] = getattr(_HERE, "places", {})
    if (exact := places.get(str(wanted))) is not None:
        return Path(exact)
    parts = wanted.parts
    alike = [place for known, place in places.items() if Path(known).parts[-len(parts) :] == parts]
    if len(alike) == 1 and not wanted.is_absolute():
        return Path(alike[0])
    if wanted.exists():
        return wanted
    which = "several inputs have that name" if alike else "it is no declared input of this run"
    raise FileNotFoundError(
        f"'{path}' is not on this worker, and {which}; declare it: inputs=[...], or --input"
    )


def _list_files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(Path(top, name) for top, _, names in os.walk(path) for name in names)
        else:
            yield path


def _is_same(path: Path, file: InputFile) -> bool:
    try:
        if path.stat().st_size != file.size:
            return False
        return _digest(path) == file.digest
    except OSError:
        return False


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _keep(file: InputFile, data: bytes) -> Path:
    """Write an input into this user's folder on this host, if it is not there yet."""
    root = Path(tempfile.gettempdir()) / f"beampipe-inputs-{os.getuid()}"
    make_private_folder(root)
    if root.stat().st_uid != os.getuid() or root.is_symlink():
        root = Path(tempfile.mkdtemp(prefix="beampipe-inputs-"))  # somebody else was there first
    folder = root / file.digest
    place = folder / Path(file.path).name
    if not _is_same(place, file):
        make_private_folder(folder)
        write_private(place, data)
    os.utime(folder)
    _throw_away_old(root)
    return place


def _throw_away_old(root: Path) -> None:
    for folder in root.iterdir():
        with contextlib.suppress(OSError):  # another worker is at it, too
            if time.time() - folder.stat().st_mtime > _KEEP_S:
                for path in folder.iterdir():
                    path.unlink()
                folder.rmdir()
