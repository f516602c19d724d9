"""One segment: a zip file with a manifest, a value in open formats, and checksums."""

from __future__ import annotations

import errno
import functools
import hashlib
import importlib.metadata
import json
import lzma
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from beampipe.errors import RunFormatError
from beampipe.execution.encoding import read_value, write_value
from beampipe.execution.manifest import Manifest
from beampipe.execution.partials import Partial
from beampipe.execution.storage import dump_json, open_atomic, storage_errors

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
    """A whole, checked segment; its value is read when asked for."""

    path: Path
    number: int
    manifest: Manifest
    metrics: Mapping[str, float]
    sha256: str

    def read_value(self, *, trust: bool = False) -> Any:
        """Read the value.

        Raises
        ------
        TrustError
            ``run-trust``: it needs pickle, and `trust` is False.
        """
        if not self.manifest.done:
            return None
        with (
            storage_errors(self.path, verb="read"),
            self.path.open("rb") as stream,
            zipfile.ZipFile(stream) as archive,
        ):
            return read_value(archive, "value", trust=trust)


def write_segment(path: Path, *, run_id: str, number: int, partial: Partial) -> None:
    """Write one segment; it is there whole or not at all."""
    with (
        open_atomic(path) as stream,
        zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive,
    ):
        if partial.manifest.done:
            write_value(archive, "value", partial.value)
        manifest = {
            "format": FORMAT,
            "version": VERSION,
            "beampipe": _own_version(),
            "run_id": run_id,
            "segment": number,
            **partial.manifest.to_json(),
            "sha256": {name: _member_sha256(archive, name) for name in archive.namelist()},
            "metrics": dict(partial.metrics),
        }
        archive.writestr(zipfile.ZipInfo("manifest.json", _STAMP), dump_json(manifest))


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
    return Segment(
        path=path,
        number=int(data["segment"]),
        manifest=Manifest.from_json(data),
        metrics=dict(data["metrics"]),
        sha256=hashlib.sha256(text).hexdigest(),
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
