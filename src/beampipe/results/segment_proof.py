"""Segments read for the proof: whole, of this run, claimed, not void; by nobody's code but this."""

from __future__ import annotations

import errno
import hashlib
import json
import lzma
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FORMAT, VERSION = "beampipe-segment", 1
_BLOCK_BYTES = 1 << 20
_NAME = re.compile(r"[0-9]+\.zip")
# Everything that a zip file with wrong bytes in it has been seen to raise.
_TORN = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    OSError,
    EOFError,
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    OverflowError,
    RuntimeError,
)


@dataclass(frozen=True, slots=True)
class DoneRange:
    """Part k of n of a file, in the ledger with the entries [start, stop).

    `kind` is what kind of error a part failed with, as far as it was said.
    """

    segment: int
    dataset: str
    uuid: str
    k: int
    n: int
    start: int
    stop: int
    kind: str = ""

    @property
    def text(self) -> str:
        """For a message: where it is and what it covers."""
        return (
            f"entries {self.start} to {self.stop} of file {self.uuid} "
            f"(part {self.k} of {self.n}, segment {self.segment:06d})"
        )


@dataclass(frozen=True, slots=True)
class SegmentFile:
    """What was found under one segment's name.

    Attributes
    ----------
    ignored : str
        Why it does not count; empty for one that does.
    error : str
        Why it can be neither counted nor ignored.
    done, failed : tuple of DoneRange
        Its ranges, when it counts.
    split : int
        How many of its parts were done piece by piece.
    origin : str
        The run that its value was made in, if that is another one.
    """

    name: str
    ignored: str = ""
    error: str = ""
    done: tuple[DoneRange, ...] = ()
    failed: tuple[DoneRange, ...] = ()
    split: int = 0
    origin: str = ""

    @property
    def counts(self) -> bool:
        """Whether it is part of the ledger."""
        return not self.ignored and not self.error


def read_segment_files(run_dir: Path, run_id: str) -> Iterator[SegmentFile]:
    """Go through everything that has a segment's name, in its order.

    Raises
    ------
    OSError
        There is no telling what is there.
    """
    # In this order: a mark is made before anything is committed in place of what it voids.
    paths = sorted((run_dir / "segments").iterdir())
    claims = {entry.name for entry in (run_dir / "claims").iterdir()}
    for path in paths:
        if _NAME.fullmatch(path.name):
            yield _examine(path, claims, run_id)


def _examine(path: Path, claims: set[str], run_id: str) -> SegmentFile:
    if f"{path.stem}.void" in claims:
        return SegmentFile(path.name, ignored="it is marked void")
    if path.stem not in claims:
        return SegmentFile(path.name, ignored="nobody claimed it")
    try:
        manifest, members = _read_zip(path)
        ignored = _why_ignored(path, manifest, members, run_id)
    except _TORN as error:
        # A place in the file that cannot be gone to is wrong bytes too; anything else that
        # the file system says means that nobody knows what is in there.
        if isinstance(error, OSError) and error.errno not in {None, errno.EINVAL}:
            return SegmentFile(path.name, error=f"it cannot be read: {error.strerror}")
        return SegmentFile(path.name, ignored=f"it is torn ({type(error).__name__}: {error})")
    if ignored:
        return SegmentFile(path.name, ignored=ignored)
    return _read_manifest(path.name, manifest)


def _why_ignored(path: Path, manifest: Any, members: Mapping[str, str], run_id: str) -> str:
    if manifest["format"] != FORMAT:
        return "it is no segment"
    if manifest["run_id"] != run_id:
        return f"it belongs to run {manifest['run_id']!r}"
    if manifest["version"] != VERSION:
        return ""
    if manifest["sha256"] != members:
        return "its checksums do not match"
    if f"{manifest['segment']:06d}.zip" != path.name:
        return f"it is a copy of segment {manifest['segment']}"
    return ""


def _read_zip(path: Path) -> tuple[Any, dict[str, str]]:
    """The manifest, and the checksums of all other members as they are on the disk."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if len(set(names)) != len(names):
            raise zipfile.BadZipFile("two members have one name")
        members = {name: _sha256(archive, name) for name in names if name != "manifest.json"}
        return json.loads(archive.read("manifest.json")), members


def _sha256(archive: zipfile.ZipFile, name: str) -> str:
    digest = hashlib.sha256()
    with archive.open(name) as member:
        while block := member.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _read_manifest(name: str, manifest: Mapping[str, Any]) -> SegmentFile:
    if manifest["version"] != VERSION:
        why = f"version {manifest['version']!r} of the format is not known here"
        return SegmentFile(name, error=why)
    try:
        place = (manifest["segment"], str(manifest["dataset"]))
        done = tuple(_read_range(*place, row) for row in manifest["done"])
        failed = tuple(
            _read_range(*place, [row[key] for key in _KEYS], kind=str(row.get("kind", "")))
            for row in manifest["failed"]
        )
        split = _count_split(manifest.get("split", []), done)
        origin = _read_origin(manifest, failed)
    except (KeyError, TypeError, ValueError) as error:
        why = f"its manifest makes no sense ({type(error).__name__}: {error})"
        return SegmentFile(name, error=why)
    if done and "value/value.json" not in manifest["sha256"]:
        return SegmentFile(name, error="it lists events and holds no value")
    return SegmentFile(name, done=done, failed=failed, split=split, origin=origin)


def _count_split(rows: Any, done: tuple[DoneRange, ...]) -> int:
    """How many parts were done piece by piece; every one of them must be in the value."""
    parts = {(one.uuid, one.k) for one in done}
    for row in rows:
        uuid, k, pieces = row
        if type(pieces) is not int or pieces < 2:
            raise ValueError(f"{row!r} is not [uuid, k, pieces]")
        if (uuid, k) not in parts:
            raise ValueError(
                f"{row!r} was split and is not among what is done, or stands there twice"
            )
        parts.remove((uuid, k))
    return len(rows)


def _read_origin(manifest: Mapping[str, Any], failed: tuple[DoneRange, ...]) -> str:
    """The run that a segment was taken over from; such a one holds nothing but what was done."""
    origin = manifest.get("origin")
    if not origin:
        return ""
    run_id, segment = origin["run_id"], origin["segment"]
    if not isinstance(run_id, str) or not run_id or type(segment) is not int:
        raise TypeError(f"origin {origin!r} does not name a segment of a run")
    if failed or not manifest["done"]:
        raise ValueError("it was taken over from another run with failures, or without events")
    return run_id


_KEYS = ("uuid", "k", "n", "start", "stop")


def _read_range(segment: int, dataset: str, row: list[Any], *, kind: str = "") -> DoneRange:
    uuid, *numbers = row
    k, n, start, stop = numbers
    if not isinstance(uuid, str) or any(type(number) is not int for number in numbers):
        raise TypeError(f"{row!r} is not [uuid, k, n, start, stop]")
    if not (0 <= k < n and 0 <= start <= stop):
        raise ValueError(f"{row!r} is no part of a file")
    return DoneRange(segment, dataset, uuid, k, n, start, stop, kind)
