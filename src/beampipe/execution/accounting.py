"""How a run's events add up: planned = processed + failed + not reached."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from beampipe.datasets.model import DatasetPlan, FilePlan, Plan, UncountedFile
from beampipe.datasets.urls import show_url
from beampipe.errors import LedgerError
from beampipe.execution.done_chunks import NOTHING, DoneChunk, DoneChunks, check_no_overlap
from beampipe.execution.manifest import ChunkKey, FailedChunk, Manifest


@dataclass(frozen=True, slots=True)
class Failure:
    """One chunk or file that could not be done.

    Attributes
    ----------
    number : int
        Counts from 1 within the run; what ``beampipe reproduce --failure`` takes.
    dataset, url, uuid : str
        Where; `uuid` is empty for a file that could not be counted.
    k, n : int
        Part k of n of the file; n is 0 for a file that could not be counted.
    start, stop : int
        Entry range [events].
    code : str
        The stable code of the error (``processor-failed``, ``dataset-file-missing``, ...).
    error_type, message, traceback : str
        The exception as the user would have seen it.
    why, fix : str
        The reason and the remedy, as far as they are known: for an exception of the processor
        the line that raised it.
    worker, host : str
        Where it happened.
    attempt : int
        How often it had been tried, this time included.
    kind : str
        What kind of error it is: ``"transient"``, ``"data"``, ``"processor"``, ``"resource"``
        or ``"worker"``; empty where nobody said.
    rule : str
        The line of the table of error kinds that said so.
    seen : mapping
        What was seen of the death of the worker that had it (see `FailedChunk`).
    """

    number: int
    dataset: str
    url: str
    uuid: str
    k: int
    n: int
    start: int
    stop: int
    code: str
    error_type: str
    message: str
    traceback: str = ""
    worker: str = ""
    host: str = ""
    attempt: int = 1
    why: str = ""
    fix: str = ""
    kind: str = ""
    rule: str = ""
    seen: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DatasetAccounting:
    """The sums of one dataset; everything here is computed from the ledger."""

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
    chunks_reused: int = 0

    @property
    def balances(self) -> bool:
        """Whether planned = processed + failed + not reached."""
        return self.events_planned == (
            self.events_processed + self.events_failed + self.events_not_reached
        )

    @property
    def is_complete(self) -> bool:
        """Whether every event of every file was processed."""
        return self.files_uncounted == 0 and self.events_processed == self.events_planned

    @property
    def missing_share(self) -> float:
        """Share of its events that were not processed, 0 to 1.

        Files that could not be counted are taken to hold as many events as its others do on
        average.
        """
        counted = self.files - self.files_uncounted
        if not counted:
            return 1.0 if self.files_uncounted else 0.0
        return 1.0 - self.events_processed / self.events_assumed if self.events_planned else 0.0

    @property
    def events_assumed(self) -> float:
        """Events planned, and those that files which could not be counted are taken to hold."""
        counted = self.files - self.files_uncounted
        return self.events_planned * self.files / counted if counted else 0.0


@dataclass(frozen=True, slots=True)
class Accounting:
    """The sums of a run, dataset by dataset."""

    datasets: tuple[DatasetAccounting, ...]

    def __getitem__(self, name: str) -> DatasetAccounting:
        for dataset in self.datasets:
            if dataset.name == name:
                return dataset
        raise KeyError(name)

    @property
    def balances(self) -> bool:
        """Whether every dataset balances."""
        return all(dataset.balances for dataset in self.datasets)

    @property
    def is_complete(self) -> bool:
        """Whether every dataset is complete."""
        return all(dataset.is_complete for dataset in self.datasets)

    def to_json(self) -> list[dict[str, Any]]:
        """A plain form for files."""
        return [asdict(dataset) for dataset in self.datasets]

    @classmethod
    def from_json(cls, data: list[dict[str, Any]]) -> Accounting:
        """The inverse of `to_json`."""
        return cls(tuple(DatasetAccounting(**entry) for entry in data))

    @property
    def events_planned(self) -> int:
        """Events planned over all datasets [events]."""
        return sum(dataset.events_planned for dataset in self.datasets)

    @property
    def files_uncounted(self) -> int:
        """Files that could not be counted, over all datasets."""
        return sum(dataset.files_uncounted for dataset in self.datasets)

    @property
    def missing_share(self) -> float:
        """Share of all events that were not processed, 0 to 1; see `DatasetAccounting`.

        Datasets of which nothing could be counted have no weight in it, so that 0 does not mean
        that the run is complete.
        """
        whole = sum(dataset.events_assumed for dataset in self.datasets)
        return 1.0 - self.events_processed / whole if whole else float(not self.is_complete)

    @property
    def events_processed(self) -> int:
        """Events processed over all datasets [events]."""
        return sum(dataset.events_processed for dataset in self.datasets)


@dataclass(frozen=True, slots=True)
class DatasetTally:
    """What the ledger says of one dataset: done chunks, and the last failure of the others."""

    done: DoneChunks = NOTHING
    failed: Mapping[ChunkKey, FailedChunk] = field(default_factory=dict)
    reused: int = 0

    @classmethod
    def of(cls, manifests: Sequence[Manifest], *, reused: int = 0) -> DatasetTally:
        """Take in all segments of a dataset, in their order.

        Raises
        ------
        LedgerError
            ``run-ledger``: a chunk is in two segments.
        """
        done = DoneChunks.join(manifest.done for manifest in manifests)
        if (twice := done.find_twice()) is not None:
            raise LedgerError(
                "The same chunk is in two segments.",
                why=f"file {twice.uuid}, part {twice.k} of {twice.n}",
                fix="report this with the run directory: the engine must never do it",
            )
        failed = {(one.uuid, one.k): one for manifest in manifests for one in manifest.failed}
        parts = done.parts_of_files() if failed else {}
        left = {key: one for key, one in failed.items() if key[1] not in parts.get(key[0], ())}
        return cls(done, left, reused)


Tally = Mapping[str, DatasetTally]


def tally_manifests(
    manifests: Iterable[Manifest], *, reused: Iterable[Manifest] = ()
) -> dict[str, DatasetTally]:
    """Go through the ledger once; `reused` were there before this driver began."""
    by_dataset: dict[str, list[Manifest]] = defaultdict(list)
    n_reused: Counter[str] = Counter()
    for manifest in reused:
        by_dataset[manifest.dataset].append(manifest)
        n_reused[manifest.dataset] += len(manifest.done)
    for manifest in manifests:
        by_dataset[manifest.dataset].append(manifest)
    return {name: DatasetTally.of(some, reused=n_reused[name]) for name, some in by_dataset.items()}


def account(plan: Plan, tally: Tally) -> Accounting:
    """Hold the ledger against the plan.

    Raises
    ------
    LedgerError
        ``run-ledger``: the ledger holds events that are not in the plan, or holds some twice.
    """
    unknown = sorted(tally.keys() - {dataset.name for dataset in plan.datasets})
    if unknown:
        raise _not_in_plan(f"datasets {unknown}")
    return Accounting(
        tuple(
            _account_dataset(dataset, tally.get(dataset.name, DatasetTally()))
            for dataset in plan.datasets
        )
    )


def _account_dataset(dataset: DatasetPlan, tally: DatasetTally) -> DatasetAccounting:
    plans = {plan.file.uuid: plan for plan in dataset.files}
    _check_are_planned(plans, tally.done)
    check_no_overlap(tally.done)
    processed = tally.done.n_events
    failed = _count_failed(plans, tally)
    planned = dataset.n_events
    return DatasetAccounting(
        name=dataset.name,
        files=len(dataset.files) + len(dataset.uncounted),
        files_uncounted=len(dataset.uncounted),
        events_planned=planned,
        events_processed=processed,
        events_failed=failed,
        events_not_reached=planned - processed - failed,
        chunks_planned=dataset.n_chunks,
        chunks_processed=len(tally.done),
        chunks_failed=len(tally.failed),
        chunks_reused=tally.reused,
    )


def _check_are_planned(plans: Mapping[str, FilePlan], done: DoneChunks) -> None:
    found = [plans.get(uuid) for uuid, _ in done.files]
    used = np.zeros(len(found), np.int64)
    ends = np.zeros(len(found), np.int64)
    in_steps = np.zeros(len(found), bool)
    for place, ((_, n), plan) in enumerate(zip(done.files, found, strict=True)):
        if plan is not None and n == plan.n_chunks:
            used[place], ends[place] = plan.used_chunks, plan.stop
            in_steps[place] = plan.steps is not None
    at, k, start, stop = done.rows.unpack()
    at = at.astype(np.intp)
    # Those with steps are looked at one by one; all others need no object of Python's.
    odd = (k < 0) | (k >= used[at]) | (start < 0) | (start > stop) | (stop > ends[at])
    for row in np.flatnonzero(odd | in_steps[at]):
        _check_is_planned(plans, done[int(row)])


def _check_is_planned(plans: Mapping[str, FilePlan], chunk: DoneChunk | FailedChunk) -> None:
    plan = plans.get(chunk.uuid)
    if plan is None or not _is_inside(plan, chunk):
        raise _not_in_plan(
            f"file {chunk.uuid}, part {chunk.k} of {chunk.n}, entries {chunk.start} to {chunk.stop}"
        )


def _not_in_plan(why: str) -> LedgerError:
    return LedgerError(
        "The ledger holds events that are not in the plan.",
        why=why,
        fix="the segments of another run were put here, or the plan was changed",
    )


def _is_inside(plan: FilePlan, chunk: DoneChunk | FailedChunk) -> bool:
    if chunk.n != plan.n_chunks or not 0 <= chunk.k < plan.used_chunks:
        return False
    if plan.steps is not None:
        return plan.steps[chunk.k] == (chunk.start, chunk.stop)
    return 0 <= chunk.start <= chunk.stop <= plan.stop


def _count_failed(plans: Mapping[str, FilePlan], tally: DatasetTally) -> int:
    """Events in failed chunks that no done chunk holds.

    A chunk whose file did not open failed over its nominal range, while its neighbours were
    done over ranges that were snapped to clusters; so ranges are counted, not chunks.
    """
    ranges: dict[str, list[tuple[int, int, bool]]] = defaultdict(list)
    for failure in tally.failed.values():
        _check_is_planned(plans, failure)
        ranges[failure.uuid].append((failure.start, failure.stop, False))
    for chunk in tally.done if ranges else ():
        if chunk.uuid in ranges:
            ranges[chunk.uuid].append((chunk.start, chunk.stop, True))
    return sum(_uncovered(spans) for spans in ranges.values())


def _uncovered(spans: list[tuple[int, int, bool]]) -> int:
    """Length of the union of the failed ranges without the done ones."""
    edges = sorted(
        edge
        for start, stop, is_done in spans
        for edge in ((start, is_done, 1), (stop, is_done, -1))
    )
    depth = {True: 0, False: 0}
    total, last = 0, 0
    for position, is_done, step in edges:
        if depth[False] and not depth[True]:
            total += position - last
        depth[is_done] += step
        last = position
    return total


def list_failures(plan: Plan, tally: Tally) -> tuple[Failure, ...]:
    """Every hole with its reason: files that could not be counted, then chunks that failed."""
    failures = [
        _uncounted_failure(number, file)
        for number, file in enumerate(
            (file for dataset in plan.datasets for file in dataset.uncounted), start=1
        )
    ]
    for dataset in plan.datasets:
        failed = tally.get(dataset.name, DatasetTally()).failed.values()
        failures += [
            Failure(number=number, dataset=dataset.name, **asdict(failure))
            for number, failure in enumerate(failed, start=len(failures) + 1)
        ]
    return tuple(failures)


def _uncounted_failure(number: int, file: UncountedFile) -> Failure:
    return Failure(
        number=number,
        dataset=file.dataset,
        url=show_url(file.urls[0]) if file.urls else "",
        uuid="",
        k=0,
        n=0,
        start=0,
        stop=0,
        code=file.error.code,
        error_type=type(file.error).__name__,
        message=file.error.message,
        why=file.error.why,
        fix=file.error.fix,
        kind=file.error.facts.get("kind", ""),
        rule=file.error.facts.get("rule", ""),
    )
