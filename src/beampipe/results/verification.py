"""The accounting proved from the segments alone, by code that shares nothing with the engine.

It reads the files of a run directory as ``docs/reference/run-format.md`` describes them, with
json, zipfile and hashlib. Nothing of `beampipe.execution` is imported: a mistake in the
engine's bookkeeping cannot repeat itself here.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from beampipe.errors import NotARunError, RunFormatError
from beampipe.results.intervals import count, find_overlap, subtract, unite
from beampipe.results.plan_proof import PlannedDataset, PlannedFile, read_plan_file
from beampipe.results.seals import read_sealed
from beampipe.results.segment_proof import DoneRange, SegmentFile, read_segment_files

_RUN = ("beampipe-run", 1)
_COMPARED = (
    "files",
    "files_uncounted",
    "events_planned",
    "events_processed",
    "events_failed",
    "events_not_reached",
    "chunks_planned",
    "chunks_processed",
    "chunks_failed",
)


@dataclass(frozen=True, slots=True)
class DatasetProof:
    """The sums of one dataset, counted range by range.

    `chunks_failed_by_kind` says what kinds of error they failed with (``"unknown"`` where that
    was not recorded).
    """

    name: str
    files: int
    files_uncounted: int
    events_planned: int
    events_processed: int
    events_failed: int
    events_not_reached: int
    chunks_planned: int
    chunks_processed: int
    chunks_failed: int
    chunks_failed_by_kind: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_complete(self) -> bool:
        """Whether every event of every file was processed."""
        return not self.files_uncounted and self.events_processed == self.events_planned


@dataclass(frozen=True, slots=True)
class Verification:
    """What the segments prove.

    Attributes
    ----------
    run_id : str
        As in ``run.json``.
    status : str or None
        What ``outcome.json`` says; None while there is none.
    segments : int
        How many count.
    adopted : int
        How many of them were taken over from other runs.
    split : int
        Chunks that were done piece by piece.
    datasets : tuple of DatasetProof
        Empty without a readable plan.
    notes : tuple of str
        What was found and ignored: torn, foreign and void segments.
    errors : tuple of str
        Contradictions; with any of them nothing is proved.
    """

    run_id: str
    status: str | None
    segments: int
    datasets: tuple[DatasetProof, ...]
    notes: tuple[str, ...]
    errors: tuple[str, ...]
    adopted: int = 0
    split: int = 0

    @property
    def is_proved(self) -> bool:
        """Whether the accounting is proved: every event is in exactly one place."""
        return not self.errors

    @property
    def is_complete(self) -> bool:
        """Whether every planned event is proved to have been processed exactly once."""
        return self.is_proved and all(dataset.is_complete for dataset in self.datasets)

    @property
    def sentence(self) -> str:
        """The verdict in words."""
        if not self.is_proved:
            return f"NOT PROVED: {len(self.errors)} contradiction(s), the first: {self.errors[0]}"
        planned, processed, failed, missing, uncounted = (
            sum(getattr(dataset, name) for dataset in self.datasets)
            for name in (
                "events_planned",
                "events_processed",
                "events_failed",
                "events_not_reached",
                "files_uncounted",
            )
        )
        if self.is_complete:
            return f"PROVED, COMPLETE: all {planned:,} events were processed exactly once."
        text = (
            f"PROVED, INCOMPLETE: of {planned:,} events {processed:,} were processed exactly "
            f"once, {failed:,} failed, {missing:,} were not reached"
        )
        return text + (f"; {uncounted} file(s) could not be counted." if uncounted else ".")

    def to_json(self) -> dict[str, Any]:
        """A plain form."""
        return {
            "run_id": self.run_id,
            "proved": self.is_proved,
            "complete": self.is_complete,
            "status": self.status,
            "segments": self.segments,
            "segments_adopted": self.adopted,
            "chunks_split": self.split,
            "datasets": {dataset.name: asdict(dataset) for dataset in self.datasets},
            "notes": list(self.notes),
            "errors": list(self.errors),
        }


@dataclass(slots=True)
class _Findings:
    notes: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def verify_run(run_dir: str | Path) -> Verification:
    """Prove a run's accounting from its plan and its segments.

    Every event of the plan must be in exactly one place: processed (in one segment that is
    whole, checksummed, claimed and of this run), failed, or not reached.

    Parameters
    ----------
    run_dir : path
        A run directory.

    Returns
    -------
    Verification
        Contradictions are in its `errors`, they do not raise.

    Raises
    ------
    NotARunError
        ``run-not-found``: there is no readable ``run.json``.
    RunFormatError
        ``run-format``: a newer Beampipe wrote it.
    """
    run_dir = Path(run_dir)
    run = _read_run(run_dir)
    findings = _Findings()
    plan = read_plan_file(run_dir, run, findings.errors, findings.notes)
    segments = _read_segments(run_dir, run["run_id"], findings)
    findings.notes += [f"segment {one.name}: {one.ignored}" for one in segments if one.ignored]
    findings.errors += [f"segment {one.name}: {one.error}" for one in segments if one.error]
    counted = [one for one in segments if one.counts]
    datasets = _prove_datasets(plan, counted, findings) if plan is not None else ()
    outcome = _read_outcome(run_dir, findings)
    _compare_outcome(outcome, datasets, findings)
    split = sum(one.split for one in counted)
    _check_mark(outcome, split, findings)
    return Verification(
        run_id=run["run_id"],
        status=outcome.get("status"),
        segments=len(counted),
        datasets=datasets,
        notes=tuple(findings.notes),
        errors=tuple(findings.errors),
        adopted=sum(1 for one in counted if one.origin),
        split=split,
    )


# -- reading ----------------------------------------------------------------


def _read_segments(run_dir: Path, run_id: str, findings: _Findings) -> list[SegmentFile]:
    try:
        return list(read_segment_files(run_dir, run_id))
    except OSError as error:
        findings.errors.append(f"the segments cannot be listed ({error})")
        return []


def _read_run(run_dir: Path) -> dict[str, Any]:
    try:
        text = (run_dir / "run.json").read_bytes()
        run = json.loads(text)
        found = (run["format"], run["version"])
        run["run_id"] = str(run["run_id"])
        if found == _RUN:  # another version may have other seals
            read_sealed(text)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NotARunError(
            f"{run_dir} is not a run.",
            why=f"its run.json cannot be read: {type(error).__name__}: {error}",
            fix="give a run directory; `beampipe runs` lists them",
        ) from error
    if found != _RUN:
        raise RunFormatError(
            f"{run_dir} is in a format that this Beampipe does not know.",
            why=f"it says {found[0]!r} version {found[1]!r}, written by Beampipe "
            f"{run.get('beampipe', '?')}; this one verifies {_RUN[0]!r} version {_RUN[1]}",
            fix="verify it with a Beampipe at least as new as the one that wrote it",
        )
    return dict(run)


def _read_outcome(run_dir: Path, findings: _Findings) -> dict[str, Any]:
    try:
        outcome = read_sealed((run_dir / "outcome.json").read_bytes())
    except FileNotFoundError:
        findings.notes.append("there is no outcome.json: the run has not ended, or was killed")
        return {}
    except (OSError, ValueError, TypeError) as error:
        findings.errors.append(f"outcome.json cannot be read ({type(error).__name__}: {error})")
        return {}
    driver = _last_driver(run_dir)
    if driver is not None and outcome.get("driver", driver) != driver:
        findings.notes.append(
            "outcome.json is of an earlier driver: the run is being resumed, or the driver "
            "that did was killed"
        )
        return {}
    return outcome


def _last_driver(run_dir: Path) -> str | None:
    """Who made the last claim, if its claim says so; a claim counts by its existence."""
    numbers = [path for path in (run_dir / "claims").glob("[0-9]*") if path.name.isdecimal()]
    try:
        last = max(numbers, key=lambda path: int(path.name))
        return str(json.loads(last.read_bytes())["driver"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


# -- proving ----------------------------------------------------------------


def _prove_datasets(
    plan: Sequence[PlannedDataset], segments: Sequence[SegmentFile], findings: _Findings
) -> tuple[DatasetProof, ...]:
    done: dict[str, list[DoneRange]] = defaultdict(list)
    failed: dict[str, list[DoneRange]] = defaultdict(list)
    for segment in segments:
        for one in segment.done:
            done[one.dataset].append(one)
        for one in segment.failed:
            failed[one.dataset].append(one)
    known = {dataset.name for dataset in plan}
    if len(known) < len(plan):
        findings.errors.append("the plan has two datasets of one name")
    for name in sorted((done.keys() | failed.keys()) - known):
        findings.errors.append(f"a segment is of dataset {name!r}, which is not in the plan")
    return tuple(
        _prove_dataset(dataset, done[dataset.name], failed[dataset.name], findings.errors)
        for dataset in plan
    )


def _prove_dataset(
    dataset: PlannedDataset, done: list[DoneRange], failed: list[DoneRange], errors: list[str]
) -> DatasetProof:
    problems: list[str] = []
    finished = {(one.uuid, one.k) for one in done}
    # A chunk that failed and was done by a later driver is done.
    failed = [one for one in failed if (one.uuid, one.k) not in finished]
    done_in, failed_in = _by_file(done), _by_file(failed)
    foreign = sorted((done_in.keys() | failed_in.keys()) - dataset.files.keys())
    problems += [f"file {uuid} is in a segment and not in the plan" for uuid in foreign]
    counts = [(0, 0, 0, 0)]
    for uuid, file in dataset.files.items():
        problems += _check_chunks(file, done_in.get(uuid, []))
        counts.append(_count_file(file, done_in.get(uuid, []), failed_in.get(uuid, [])))
    planned, processed, n_failed, missing = map(sum, zip(*counts, strict=True))
    if planned != processed + n_failed + missing:
        problems.append(f"{planned} planned is not {processed} + {n_failed} + {missing}")
    errors += [f"dataset {dataset.name!r}: {problem}" for problem in problems]
    # Segments come in their order, so of one part that failed twice the last word counts.
    last = {(one.uuid, one.k): one.kind or "unknown" for one in failed}
    kinds = dict(sorted(Counter(last.values()).items()))
    return DatasetProof(
        name=dataset.name,
        files=len(dataset.files) + dataset.uncounted,
        files_uncounted=dataset.uncounted,
        events_planned=planned,
        events_processed=processed,
        events_failed=n_failed,
        events_not_reached=missing,
        chunks_planned=sum(file.used for file in dataset.files.values()),
        chunks_processed=len(finished),
        chunks_failed=sum(kinds.values()),
        chunks_failed_by_kind=kinds,
    )


def _by_file(ranges: list[DoneRange]) -> dict[str, list[DoneRange]]:
    files: dict[str, list[DoneRange]] = defaultdict(list)
    for one in ranges:
        files[one.uuid].append(one)
    return dict(files)


def _count_file(
    file: PlannedFile, done: list[DoneRange], failed: list[DoneRange]
) -> tuple[int, int, int, int]:
    """Planned, processed, failed and not reached, each counted on its own."""
    planned = unite(file.ranges)
    held = [(one.start, one.stop) for one in done]
    # A chunk whose file did not open failed over its nominal range; neighbours that were done
    # over ranges snapped to clusters may hold some of it.
    open_ = subtract(planned, held)
    missing = subtract(open_, ((one.start, one.stop) for one in failed))
    return count(planned), count(held), count(subtract(open_, missing)), count(missing)


def _check_chunks(file: PlannedFile, done: list[DoneRange]) -> list[str]:
    problems = []
    seen: dict[int, DoneRange] = {}
    for one in done:
        if one.k in seen:
            problems.append(f"counted twice: {one.text}, and {seen[one.k].text}")
        seen[one.k] = one
        if one.n != file.n or one.k >= file.used:
            problems.append(f"not a part of the plan: {one.text}")
        elif file.steps is not None and file.steps[one.k] != (one.start, one.stop):
            problems.append(f"not the step {file.steps[one.k]} of the plan: {one.text}")
        elif subtract([(one.start, one.stop)], file.ranges):
            problems.append(f"outside of what was planned: {one.text}")
    by_range = {(one.start, one.stop): one for one in done}
    overlap = find_overlap((one.start, one.stop) for one in done)
    if overlap is not None:
        first, second = (by_range[range_].text for range_ in overlap)
        problems.append(f"events counted twice: {first}, and {second}")
    gap = subtract(file.ranges, by_range)
    if gap and len(seen) >= file.used:
        problems.append(
            f"all parts of file {file.uuid} are done, but entries {gap[0][0]} to {gap[0][1]} are "
            "in none of them"
        )
    return problems


def _check_mark(outcome: Mapping[str, Any], split: int, findings: _Findings) -> None:
    """A chunk that was done piece by piece was added in another order than the plan has."""
    metrics = outcome.get("metrics")
    if split and isinstance(metrics, dict) and metrics.get("reproducible") is True:
        findings.errors.append(
            f"outcome.json says that the result is reproducible, and {split} chunk(s) were split"
        )


def _compare_outcome(
    outcome: Mapping[str, Any], datasets: Sequence[DatasetProof], findings: _Findings
) -> None:
    if not outcome or not datasets:
        return
    is_complete = all(dataset.is_complete for dataset in datasets)
    status = outcome.get("status")
    if (status == "complete") != is_complete and status in ("complete", "incomplete"):
        proved = "complete" if is_complete else "incomplete"
        findings.errors.append(f"outcome.json says {status!r}, the segments say {proved!r}")
    stated = {entry.get("name"): entry for entry in outcome.get("accounting", [])}
    if not stated:
        findings.notes.append("outcome.json holds no accounting to compare with")
        return
    for dataset in datasets:
        entry = stated.get(dataset.name, {})
        for name in _COMPARED:
            if entry.get(name) != getattr(dataset, name):
                findings.errors.append(
                    f"dataset {dataset.name!r}: outcome.json says {name} = {entry.get(name)}, "
                    f"the segments say {getattr(dataset, name)}"
                )
