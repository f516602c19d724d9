"""Earlier runs of the same identity: what of them can be taken over, and taking it over.

A segment is taken as a whole or not at all: everything in it must be in the new plan, cut alike,
from the same files, for a dataset of which the processor is told the same.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from beampipe.datasets.model import FilePlan, Plan
from beampipe.errors import BeampipeError, LedgerError, RunStorageError, TrustError
from beampipe.execution.accounting import tally_manifests
from beampipe.execution.assembly import missing_chunks
from beampipe.execution.engine import Job
from beampipe.execution.history import (
    ACCEPTED,
    NOT_REUSED,
    REUSED,
    add_to_history,
    list_texts,
    read_history,
)
from beampipe.execution.identity import Identity, compare
from beampipe.execution.ledger import Ledger, read_segments
from beampipe.execution.manifest import DoneChunk, Manifest
from beampipe.execution.record_reader import is_own_directory, read_plan
from beampipe.execution.run_directory import RunDirectory, open_run_directory
from beampipe.execution.segments import TORN, Segment
from beampipe.execution.storage import is_own

_HEAD_BYTES = 512
_MOST_DIFFERENCES = 3
_MOST_LOOKED_AT = 20
_Files = Mapping[tuple[str, str], FilePlan]


@dataclass(frozen=True, slots=True)
class Source:
    """A run of the same identity.

    Attributes
    ----------
    segments : tuple of Segment
        What of it fits into the plan.
    """

    path: Path
    run_id: str
    segments: tuple[Segment, ...] = ()


@dataclass(slots=True)
class _Needs:
    """What of a plan no segment was found for yet."""

    files: _Files
    told: Mapping[str, str]
    n_left: int
    # Of each file a bit for each part that was found: a plan may have a million of them.
    found: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))

    @classmethod
    def of(cls, plan: Plan, identity: Identity) -> _Needs:
        files = {
            (dataset.name, one.file.uuid): one for dataset in plan.datasets for one in dataset.files
        }
        return cls(files, identity.datasets, plan.n_chunks)

    def fits(self, manifest: Manifest, files: _Files, told: Mapping[str, str]) -> bool:
        """Whether all of a segment is needed, and would come out alike."""
        name = manifest.dataset
        is_told_alike = bool(self.told.get(name)) and self.told.get(name) == told.get(name)
        return (
            is_told_alike
            and bool(manifest.done)
            and all(
                self._lacks(name, chunk)
                and is_cut_alike(
                    chunk, files.get((name, chunk.uuid)), self.files.get((name, chunk.uuid))
                )
                for chunk in manifest.done
            )
        )

    def _lacks(self, name: str, chunk: DoneChunk) -> bool:
        file = self.files.get((name, chunk.uuid))
        if file is None or not 0 <= chunk.k < file.used_chunks:
            return False
        return not self.found[name, chunk.uuid] >> chunk.k & 1

    def take(self, manifest: Manifest) -> None:
        for uuid, k in manifest.done.keys():  # noqa: SIM118  (no mapping)
            self.found[manifest.dataset, uuid] |= 1 << k
        self.n_left -= len(manifest.done)


def is_cut_alike(chunk: DoneChunk, old: FilePlan | None, new: FilePlan | None) -> bool:
    """Whether a chunk of one plan covers the same entries of the same tree in another one.

    The end of what a trial used is a border that the whole file does not have.
    """
    if old is None or new is None:
        return False
    same = ("treename", "entries", "uuid")
    if any(getattr(old.file, name) != getattr(new.file, name) for name in same):
        return False
    if old.n_chunks != new.n_chunks or chunk.n != new.n_chunks:
        return False
    if old.steps is not None or new.steps is not None:
        return _step(old, chunk.k) == _step(new, chunk.k) == (chunk.start, chunk.stop)
    if (old.used_chunks, old.stop) == (new.used_chunks, new.stop):
        return 0 <= chunk.start <= chunk.stop <= new.stop
    within = min(old.used_chunks, new.used_chunks) - 1
    return chunk.k < within and chunk.stop < min(old.stop, new.stop)


def _step(plan: FilePlan, k: int) -> tuple[int, int] | None:
    return plan.steps[k] if plan.steps is not None and k < len(plan.steps) else None


# -- finding ------------------------------------------------------------------------------


def find_alike(identity: Identity, places: Iterable[Path]) -> list[Path]:
    """Find the runs of an identity, the newest first.

    Only the beginning of each ``run.json`` is read, so thousands of runs are no matter.

    Parameters
    ----------
    identity : Identity
        What is to be computed.
    places : iterable of Path
        Run directories, or folders of them.
    """
    digest = identity.digest
    if not digest:
        return []
    wanted = f'"identity": "{digest}"'.encode()
    found = [path for path in _list_runs(places) if wanted in _read_head(path)]
    return sorted(dict.fromkeys(found), key=_begun, reverse=True)


def _list_runs(places: Iterable[Path]) -> Iterator[Path]:
    for place in places:
        if (place / "run.json").is_file():
            yield place
            continue
        with contextlib.suppress(OSError), os.scandir(place) as entries:
            yield from (place / entry.name for entry in entries if not entry.name.startswith("."))


def _read_head(path: Path) -> bytes:
    try:
        with (path / "run.json").open("rb") as stream:
            return stream.read(_HEAD_BYTES)
    except (OSError, ValueError):
        return b""


def _begun(path: Path) -> tuple[float, str]:
    try:
        return ((path / "run.json").stat().st_mtime, path.name)
    except OSError:  # it was removed in this moment
        return (0.0, path.name)


def find_sources(
    plan: Plan, identity: Identity, paths: Iterable[Path], options: Mapping[str, Any]
) -> list[Source]:
    """Choose what of earlier runs is taken over.

    Parameters
    ----------
    plan : Plan
        What is to be done.
    identity : Identity
        Of the new run, with what the processor is told of each dataset.
    paths : iterable of Path
        As `find_alike` gives them.
    options : mapping
        Of the new run: a reproducible one takes only from reproducible ones.
    """
    needs = _Needs.of(plan, identity)
    sources = []
    for path in paths:
        if not needs.n_left:
            break
        # Whatever is the matter with a run, it is no reason not to do the new one.
        with contextlib.suppress(BeampipeError, OSError):
            source = _examine(path, needs, options)
            if source.segments:
                sources.append(source)
    return sources


def _examine(path: Path, needs: _Needs, options: Mapping[str, Any]) -> Source:
    directory, run = open_run_directory(path)
    theirs = run.get("options", {})
    is_alike = bool(theirs.get("reproducible")) == bool(options.get("reproducible"))
    if not is_alike or not is_own_directory(path):
        return Source(path, run["run_id"])
    identity = Identity.from_json(run.get("provenance", {}).get("identity"))
    told = {} if identity is None else identity.datasets
    files = {
        (dataset.name, one.file.uuid): one
        for dataset in read_plan(directory, run).datasets
        for one in dataset.files
    }
    segments = list(read_segments(directory, run["run_id"]))
    # Looked at after the ledger: what is committed under a change comes after its acceptance.
    if list_texts(read_history(path), ACCEPTED):
        return Source(path, run["run_id"])
    chosen = []
    for segment in segments:
        if needs.fits(segment.manifest, files, told):
            needs.take(segment.manifest)
            chosen.append(segment)
    return Source(path, run["run_id"], tuple(chosen))


# -- taking over --------------------------------------------------------------------------


def adopt(job: Job, sources: Iterable[Source]) -> None:
    """Copy segments into a new run, undecoded, and write down where they come from.

    A source may be pruned meanwhile; what is gone is done anew.

    Raises
    ------
    RunHeldError, RunStorageError
        The new run cannot be written.
    """
    ledger = Ledger.take(job.directory, run_id=job.run_id, driver=secrets.token_hex(8))
    try:
        for source in sources:
            taken = _adopt_all(ledger, source.segments)
            if taken:
                add_to_history(job.directory.path, [_describe(source, taken)])
    finally:
        ledger.release()


def _adopt_all(ledger: Ledger, segments: Sequence[Segment]) -> list[Segment]:
    """Copy all segments that are still there and whole; gives those that were."""
    try:
        ledger.commit_all(segments)
    except (LedgerError, TrustError, RunStorageError):
        if all(_is_as_it_was(segment) for segment in segments):
            raise  # the trouble is on this side
        return [segment for segment in segments if _adopt_one(ledger, segment)]
    return list(segments)


def _adopt_one(ledger: Ledger, segment: Segment) -> bool:
    name, wanted = segment.manifest.dataset, set(segment.manifest.done)
    taken = (one.manifest.done for one in ledger.segments() if one.manifest.dataset == name)
    if not all(wanted.isdisjoint(done) for done in taken) or not _is_as_it_was(segment):
        return False
    try:
        ledger.adopt(segment)
    except (LedgerError, TrustError):
        return False
    except RunStorageError:
        if _is_as_it_was(segment):
            raise
        return False
    return True


def _is_as_it_was(segment: Segment) -> bool:
    """Whether a segment is still there: its run may be pruned, or lie on a broken disk."""
    try:
        with zipfile.ZipFile(segment.path) as archive:
            text = archive.read("manifest.json")
    except (OSError, *TORN):
        return False
    return hashlib.sha256(text).hexdigest() == segment.sha256 and is_own(segment.path)


def _describe(source: Source, taken: list[Segment]) -> dict[str, Any]:
    chunks = sum(len(segment.manifest.done) for segment in taken)
    events = sum(segment.manifest.n_events for segment in taken)
    plural = "" if chunks == 1 else "s"
    return {
        "what": REUSED,
        "text": f"{chunks:,} chunk{plural} ({events:,} events) taken from {source.path.name}",
        "run_dir": str(source.path),
        "run_id": source.run_id,
        "segments": len(taken),
        "chunks": chunks,
        "events": events,
    }


# -- why not ------------------------------------------------------------------------------


def explain_no_reuse(
    identity: Identity, name: str, root: Path, *, besides: Path
) -> dict[str, Any] | None:
    """Say why nothing can be taken over, if there is anything to say.

    Parameters
    ----------
    identity : Identity
        Of the new run.
    name : str
        Its name: the newest run of this name is what the user has in mind.
    root : Path
        Where runs are.
    besides : Path
        The new run itself.
    """
    if identity.unhashable:
        some = "; ".join(f"{part} ({why})" for part, why in identity.unhashable.items())
        text = f"Neither reused nor reusable, as this cannot be compared: {some}"
        return {"what": NOT_REUSED, "text": text}
    latest = _find_latest(name, root, besides)
    if latest is None:
        return None
    path, before = latest
    differences = [str(one) for one in compare(before, identity)]
    if not differences:
        return None
    more = len(differences) - _MOST_DIFFERENCES
    shown = "; ".join(differences[:_MOST_DIFFERENCES]) + (f"; and {more} more" if more > 0 else "")
    return {
        "what": NOT_REUSED,
        "text": f"Not reused: {path.name} is of something else ({shown})",
        "run_dir": str(path),
        "differences": differences,
    }


def _find_latest(name: str, root: Path, besides: Path) -> tuple[Path, Identity] | None:
    runs = [path for path in _list_runs([root]) if path.name != besides.name]
    for path in sorted(runs, key=_begun, reverse=True)[:_MOST_LOOKED_AT]:
        with contextlib.suppress(BeampipeError):
            _, run = open_run_directory(path)
            identity = Identity.from_json(run.get("provenance", {}).get("identity"))
            if run["name"] == name and identity is not None:
                return path, identity
    return None


def is_whole(directory: RunDirectory, run_id: str, plan: Plan) -> bool:
    """Whether a run has every chunk of its plan."""
    tally = tally_manifests(segment.manifest for segment in read_segments(directory, run_id))
    return next(missing_chunks(plan, tally), None) is None
