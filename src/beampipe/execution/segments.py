"""One segment: a zip file with a manifest, a value in open formats, and checksums."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from beampipe.errors import RunFormatError
from beampipe.execution.encoding import read_value, write_value
from beampipe.execution.manifest import Manifest
from beampipe.execution.partials import Partial
from beampipe.execution.storage import open_atomic

FORMAT = "beampipe-segment"
VERSION = 1
_STAMP = (1980, 1, 1, 0, 0, 0)  # the same value gives the same bytes
_BLOCK = 1 << 20


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
        with zipfile.ZipFile(self.path) as archive:
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
            "run_id": run_id,
            "segment": number,
            **partial.manifest.to_json(),
            "sha256": {name: _member_sha256(archive, name) for name in archive.namelist()},
            "metrics": dict(partial.metrics),
        }
        text = json.dumps(manifest, ensure_ascii=False).encode("utf-8", "replace")
        archive.writestr(zipfile.ZipInfo("manifest.json", _STAMP), text)


def read_segment(path: Path, *, run_id: str) -> Segment | None:
    """Read and check one segment; None for a torn or foreign one.

    Raises
    ------
    RunFormatError
        ``run-format``: it is whole, and of a version that is not known here.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            text = archive.read("manifest.json")
            data = json.loads(text)
            if data["format"] != FORMAT or data["run_id"] != run_id:
                return None
            check_version(data, FORMAT, VERSION, path)
            members = set(archive.namelist()) - {"manifest.json"}
            if members != set(data["sha256"]):
                return None
            if any(_member_sha256(archive, name) != sha for name, sha in data["sha256"].items()):
                return None
            return Segment(
                path=path,
                number=data["segment"],
                manifest=Manifest.from_json(data),
                metrics=data["metrics"],
                sha256=hashlib.sha256(text).hexdigest(),
            )
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, EOFError) as error:
        if isinstance(error, RunFormatError):
            raise
        return None


def check_version(data: Mapping[str, Any], name: str, version: int, path: Path) -> None:
    """Refuse a format of the future, and say who wrote it.

    Raises
    ------
    RunFormatError
        ``run-format``
    """
    if data.get("format") != name or data.get("version", 0) > version:
        writer = data.get("beampipe", "a newer Beampipe")
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
