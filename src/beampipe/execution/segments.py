"""One segment: a zip file with a manifest, a value in open formats, and checksums."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import functools
import hashlib
import importlib.metadata
import json
import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from beampipe.errors import LedgerError, RunFormatError, TrustError
from beampipe.execution.encoding import read_value, write_value
from beampipe.execution.manifest import Manifest
from beampipe.execution.partials import Partial
from beampipe.execution.storage import dump_json, is_own, open_atomic, storage_errors

FORMAT = "beampipe-segment"
VERSION = 1
_STAMP = (1980, 1, 1, 0, 0, 0)  # the same value gives the same bytes
_BLOCK = 1 << 20
# What a zip file with wrong bytes in it raises.
TORN = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    AttributeError,
    EOFError,
    LookupError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    TypeError,
    ValueError,
)


@dataclass(frozen=True, slots=True)
class Segment:
    """A whole, checked segment; its value is read when asked for.

    Attributes
    ----------
    sha256 : str
        Of its manifest, which holds the checksums of everything else in it.
    origin : mapping
        Where it was taken over from (see `Ledger.adopt`): ``run_id``, ``segment``, ...; empty for
        one whose value was made in this run.
    """

    path: Path
    number: int
    manifest: Manifest
    metrics: Mapping[str, float]
    sha256: str
    origin: Mapping[str, Any] = field(default_factory=dict)

    def read_value(self, *, trust: bool = False) -> Any:
        """Read the value.

        Raises
        ------
        TrustError
            ``run-trust``: it needs pickle, and `trust` is False.
        LedgerError
            ``run-ledger``: it is not whole any more.
        """
        if not self.manifest.done:
            return None
        with self._open() as archive:
            return read_value(archive, "value", trust=trust)

    @contextlib.contextmanager
    def _open(self) -> Iterator[zipfile.ZipFile]:
        try:
            with (
                storage_errors(self.path, verb="read"),
                self.path.open("rb") as stream,
                zipfile.ZipFile(stream) as archive,
            ):
                yield archive
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise _not_whole(self.path, f"{type(error).__name__}: {error}") from error


def _not_whole(path: Path, why: str) -> LedgerError:
    return LedgerError(
        f"{path} is not whole any more.",
        why=f"it was whole when this began ({why})",
        fix="look at the disk; `beampipe verify` tells what is left, `resume` does the rest again",
    )


def write_segment(path: Path, *, run_id: str, number: int, partial: Partial) -> Segment:
    """Write one segment; it is there whole or not at all."""
    with open_atomic(path) as stream:
        return fill_segment(stream, partial, path=path, run_id=run_id, number=number)


def fill_segment(
    stream: IO[bytes], entry: Partial | Segment, *, path: Path, run_id: str, number: int
) -> Segment:
    """Write what is to lie under `path`: a value, or a segment of another run as it is.

    Raises
    ------
    ProcessorOutputError
        ``processor-output``: the value cannot be stored.
    LedgerError, TrustError
        The segment of the other run cannot be taken over (see `Ledger.adopt`).
    """
    head = {
        "format": FORMAT,
        "version": VERSION,
        "beampipe": _own_version(),
        "run_id": run_id,
        "segment": number,
    }
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        write = _write_copy if isinstance(entry, Segment) else _write_partial
        data = {**head, **write(archive, entry)}
        text = dump_json(data)
        archive.writestr(zipfile.ZipInfo("manifest.json", _STAMP), text)
    # Not what was meant to be written: what is on the disk is what everybody will read. Names and
    # integers are read as they were written, and there may be a million of them.
    as_read = json.loads(dump_json({**data, "done": []}))
    return _make_segment({**as_read, "done": entry.manifest.done}, text, path)


def _write_partial(archive: zipfile.ZipFile, partial: Any) -> dict[str, Any]:
    if partial.manifest.done:
        write_value(archive, "value", partial.value)
    return {
        **partial.manifest.to_json(),
        "sha256": {name: _member_sha256(archive, name) for name in archive.namelist()},
        "metrics": dict(partial.metrics),
    }


def _write_copy(archive: zipfile.ZipFile, segment: Any) -> dict[str, Any]:
    """Copy the members of a segment, and check them on the way."""
    if not segment.manifest.done:
        raise _not_whole(segment.path, "it holds no events, so there is nothing to take over")
    if not is_own(segment.path):
        raise TrustError(
            f"{segment.path} is not yours alone, so it is not taken into a run of yours.",
            why="it belongs to somebody else, or others may write to it; a value can hold a pickle",
            fix="run the analysis anew",
        )
    with segment._open() as source:  # noqa: SLF001  (of this module)
        text = source.read("manifest.json")
        if hashlib.sha256(text).hexdigest() != segment.sha256:
            raise _not_whole(segment.path, "its manifest is another one now")
        data = json.loads(text)
        for name, digest in data["sha256"].items():
            if _copy_member(source, archive, name) != digest:
                raise _not_whole(segment.path, f"the checksum of {name} does not match")
    origin = {key: data[key] for key in ("run_id", "segment", "beampipe") if key in data}
    return {
        **dataclasses.replace(segment.manifest, failed=()).to_json(),
        "sha256": data["sha256"],
        "metrics": data["metrics"],
        # Of one that was taken over before: where its value was made.
        "origin": data.get("origin", {**origin, "sha256": segment.sha256}),
    }


def _copy_member(source: zipfile.ZipFile, target: zipfile.ZipFile, name: str) -> str:
    digest = hashlib.sha256()
    info = zipfile.ZipInfo(name, _STAMP)
    with source.open(name) as old, target.open(info, "w", force_zip64=True) as new:
        while block := old.read(_BLOCK):
            digest.update(block)
            new.write(block)
    return digest.hexdigest()


@functools.cache
def _own_version() -> str:
    return importlib.metadata.version("beampipe")


def read_segment(path: Path, *, run_id: str) -> Segment | None:
    """Read and check one segment; None for a torn or foreign one.

    Raises
    ------
    RunFormatError
        ``run-format``: it is whole, and of a version that is not known here.
    RunStorageError
        ``run-storage``: it cannot be read now, so nobody can say whether it is whole.
    """
    with storage_errors(path, verb="read"), path.open("rb") as stream:
        try:
            with zipfile.ZipFile(stream) as archive:
                return _check_segment(archive, path, run_id)
        except RunFormatError:
            raise
        except TORN:
            return None
        except OSError as error:
            if error.errno in {None, errno.EINVAL}:  # a wrong place in the file, a torn bzip2
                return None
            raise


def _check_segment(archive: zipfile.ZipFile, path: Path, run_id: str) -> Segment | None:
    text = archive.read("manifest.json")
    data = json.loads(text)
    if data["format"] != FORMAT:
        return None
    check_version(data, FORMAT, VERSION, path)
    names = sorted(name for name in archive.namelist() if name != "manifest.json")
    if data["run_id"] != run_id or names != sorted(data["sha256"]):
        return None
    if any(_member_sha256(archive, name) != data["sha256"][name] for name in names):
        return None
    return _make_segment(data, text, path)


def _make_segment(data: dict[str, Any], text: bytes, path: Path) -> Segment:
    return Segment(
        path=path,
        number=int(data["segment"]),
        manifest=Manifest.from_json(data),
        metrics=dict(data["metrics"]),
        sha256=hashlib.sha256(text).hexdigest(),
        origin=dict(data.get("origin", {})),
    )


def check_version(data: Mapping[str, Any], name: str, version: int, path: Path) -> None:
    """Refuse a format of the future, and say who wrote it.

    Raises
    ------
    RunFormatError
        ``run-format``
    """
    if data.get("format") != name or data.get("version") not in range(1, version + 1):
        writer = f"Beampipe {data['beampipe']}" if data.get("beampipe") else "a newer Beampipe"
        raise RunFormatError(
            f"{path} is in a format that this Beampipe does not know.",
            why=f"it says {data.get('format')!r} version {data.get('version')!r}, written by "
            f"{writer}; this version reads {name!r} up to {version}",
            fix="install a Beampipe at least as new as the one that wrote it",
        )


def _member_sha256(archive: zipfile.ZipFile, name: str) -> str:
    digest = hashlib.sha256()
    with archive.open(name) as member:
        while block := member.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
