"""From files to chunks: count what is there, cut it, say what can't be used."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from beampipe.datasets.chunks import nominal_border
from beampipe.datasets.counting import count_files
from beampipe.datasets.model import (
    DatasetPlan,
    DatasetSpec,
    FileEntry,
    FilePlan,
    FileSpec,
    Plan,
    UncountedFile,
)
from beampipe.datasets.plan_format import plan_digest, plan_from_json, plan_to_json
from beampipe.datasets.urls import show_url
from beampipe.errors import DuplicateFileError, NoEventsError, NoFilesError, PlanArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from beampipe.datasets.metadata_cache import MetadataCache

__all__ = [
    "DEFAULT_CHUNKSIZE",
    "NO_LIMITS",
    "Limits",
    "cut_file",
    "make_plan",
    "plan_digest",
    "plan_from_json",
    "plan_to_json",
]

DEFAULT_CHUNKSIZE = 250_000
FIRST_BATCH = 8
"""Files counted first when a limit may make the rest unnecessary; each further batch doubles."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of each dataset to take: for trials.

    Attributes
    ----------
    maxfiles, maxchunks, maxevents : int or None
        At most so many files, chunks, events of each dataset, from its beginning; None for all.
    """

    maxfiles: int | None = None
    maxchunks: int | None = None
    maxevents: int | None = None

    def __post_init__(self) -> None:
        for name in ("maxfiles", "maxchunks", "maxevents"):
            value = getattr(self, name)
            if value is not None:
                _check_positive(name, value)

    @property
    def may_end_early(self) -> bool:
        """Whether later files may turn out not to be needed."""
        return self.maxchunks is not None or self.maxevents is not None


NO_LIMITS = Limits()


def make_plan(
    fileset: Mapping[str, DatasetSpec],
    *,
    chunksize: int = DEFAULT_CHUNKSIZE,
    limits: Limits = NO_LIMITS,
    cache: MetadataCache | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Plan:
    """Count every file and cut it into chunks.

    A file that can't be counted never stops the planning: it stands in the dataset's `uncounted`
    with its error. Under `maxchunks` or `maxevents` files are counted only until the limit is
    reached; those behind it are no part of the plan.

    Parameters
    ----------
    fileset : mapping of str to DatasetSpec
        What :func:`~beampipe.datasets.fileset.read_fileset` gives.
    chunksize : int, default 250_000
        Wanted chunk size [events]. A file of `n` events is cut into ``ceil(n / chunksize)``.
    limits : Limits
        For trials; per dataset.
    cache : MetadataCache, optional
        Where counts are kept from one plan to the next; None to open every file.
    on_progress : callable, optional
        Called in this thread with (files counted, files to count).

    Returns
    -------
    Plan
        Datasets and files in the order given.

    Raises
    ------
    NoFilesError
        ``dataset-no-files``: there is no file at all.
    DuplicateFileError
        ``dataset-duplicate-file``: one file stands twice in a dataset; names both.
    NoEventsError
        ``dataset-no-events``: every file was counted, and none holds an event.
    PlanArgumentError
        ``dataset-plan-argument``: `chunksize` is not a positive number.
    """
    _check_positive("chunksize", chunksize)
    drafts = [_Draft(spec, chunksize, limits) for spec in fileset.values()]
    if not any(draft.waiting for draft in drafts):
        raise NoFilesError(
            "The fileset names no file.",
            why=f"{len(drafts)} dataset(s), and none has files",
            fix="give each dataset at least one file, glob or directory",
        )
    for draft in drafts:
        _refuse_repeated_urls(draft.spec)
    _count_drafts(drafts, cache=cache, on_progress=on_progress)
    plan = Plan(tuple(draft.finish() for draft in drafts), chunksize)
    _refuse_no_events(plan)
    return plan


def cut_file(
    file: FileEntry,
    steps: tuple[tuple[int, int], ...] | None = None,
    *,
    chunksize: int,
    maxchunks: int | None = None,
    maxevents: int | None = None,
) -> FilePlan:
    """Cut one counted file.

    Parameters
    ----------
    file : FileEntry
        A counted file.
    steps : tuple of (int, int), optional
        Entry ranges to take instead of equal parts.
    chunksize : int
        Wanted chunk size [events].
    maxchunks, maxevents : int, optional
        What the dataset's limits leave for this file.

    Returns
    -------
    FilePlan
        Without chunks when the file is empty.
    """
    if steps is not None:
        return _cut_by_steps(file, steps, maxchunks=maxchunks, maxevents=maxevents)
    entries = file.entries
    n_chunks = -(-entries // chunksize)
    used, stop = n_chunks, entries
    if maxchunks is not None and maxchunks < used:
        used, stop = maxchunks, nominal_border(maxchunks, n_chunks, entries)
    if maxevents is not None and maxevents < stop:
        # the chunks that begin before `stop`: k * entries // n_chunks < stop
        used, stop = -(-maxevents * n_chunks // entries), maxevents
    return FilePlan(file, n_chunks, used, stop)


def _cut_by_steps(
    file: FileEntry,
    steps: tuple[tuple[int, int], ...],
    *,
    maxchunks: int | None,
    maxevents: int | None,
) -> FilePlan:
    kept: list[tuple[int, int]] = []
    left = maxevents
    for start, stop in steps[:maxchunks]:
        if left is None:
            kept.append((start, stop))
        elif left > 0:
            kept.append((start, min(stop, start + left)))
            left -= kept[-1][1] - start
    last = kept[-1][1] if kept else 0
    return FilePlan(file, len(steps), len(kept), last, steps=tuple(kept))


@dataclass(slots=True)
class _Draft:
    """A dataset while its files are counted, batch by batch."""

    spec: DatasetSpec
    chunksize: int
    limits: Limits
    waiting: deque[FileSpec] = field(init=False)
    plans: list[FilePlan] = field(default_factory=list)
    uncounted: list[UncountedFile] = field(default_factory=list)
    seen: dict[str, str] = field(default_factory=dict)
    next_batch: int = FIRST_BATCH
    chunks_left: int | None = field(init=False)
    events_left: int | None = field(init=False)

    def __post_init__(self) -> None:
        self.waiting = deque(self.spec.files[: self.limits.maxfiles])
        self.chunks_left = self.limits.maxchunks
        self.events_left = self.limits.maxevents

    @property
    def is_full(self) -> bool:
        return self.chunks_left == 0 or self.events_left == 0

    def take_batch(self) -> list[FileSpec]:
        if self.is_full:
            self.waiting.clear()
        n_files = self.next_batch if self.limits.may_end_early else len(self.waiting)
        self.next_batch *= 2
        return [self.waiting.popleft() for _ in range(min(n_files, len(self.waiting)))]

    def add(self, spec: FileSpec, counted: FileEntry | UncountedFile) -> None:
        if self.is_full:
            return
        if isinstance(counted, UncountedFile):
            self.uncounted.append(counted)
            return
        self._refuse_duplicate(counted)
        plan = cut_file(
            counted,
            spec.steps,
            chunksize=self.chunksize,
            maxchunks=self.chunks_left,
            maxevents=self.events_left,
        )
        self.plans.append(plan)
        if self.chunks_left is not None:
            self.chunks_left -= plan.used_chunks
        if self.events_left is not None:
            self.events_left -= plan.n_events

    def finish(self) -> DatasetPlan:
        return DatasetPlan(
            self.spec.name, tuple(self.plans), tuple(self.uncounted), self.spec.metadata
        )

    def _refuse_duplicate(self, file: FileEntry) -> None:
        url = file.urls[0]
        if file.uuid in self.seen:
            why = f"both have the uuid {file.uuid}"
            raise _duplicate_error(self.spec.name, (self.seen[file.uuid], url), why=why)
        self.seen[file.uuid] = url


def _count_drafts(
    drafts: list[_Draft],
    *,
    cache: MetadataCache | None,
    on_progress: Callable[[int, int], None] | None,
) -> None:
    n_before = 0
    while True:
        batch = [(draft, spec) for draft in drafts for spec in draft.take_batch()]
        if not batch:
            return
        counted = count_files(
            [(draft.spec.name, spec) for draft, spec in batch],
            cache=cache,
            on_progress=_shift_progress(on_progress, n_before),
        )
        for (draft, spec), result in zip(batch, counted, strict=True):
            draft.add(spec, result)
        n_before += len(batch)


def _shift_progress(
    on_progress: Callable[[int, int], None] | None, n_before: int
) -> Callable[[int, int], None] | None:
    if on_progress is None or n_before == 0:
        return on_progress
    return lambda done, total: on_progress(n_before + done, n_before + total)


def _check_positive(name: str, value: object) -> None:
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return
    raise PlanArgumentError(
        f"{name} must be a whole number above zero, not {value!r}.",
        why="nothing can be planned with it",
        fix=f"give {name} a positive number, or leave it out",
        argument=name,
    )


def _refuse_repeated_urls(spec: DatasetSpec) -> None:
    """Refuse a file that is named twice, before anything is opened."""
    seen: set[str] = set()
    for file in spec.files:
        for url in set(file.urls):
            if url in seen:
                raise _duplicate_error(spec.name, (url, url), why="the same name is given twice")
        seen.update(file.urls)


def _duplicate_error(dataset: str, urls: tuple[str, str], *, why: str) -> DuplicateFileError:
    shown = tuple(show_url(url) for url in urls)
    return DuplicateFileError(
        f"The same file stands twice in dataset {dataset!r}: {shown[0]} and {shown[1]}.",
        why=f"{why}; its events would be counted twice",
        fix="take one of them out; copies of one file at several places go into a list inside the"
        " list of files; two trees of one file go into two datasets",
        dataset=dataset,
        files=shown,
    )


def _refuse_no_events(plan: Plan) -> None:
    if plan.n_events or any(dataset.uncounted for dataset in plan.datasets):
        return
    files = [file for dataset in plan.datasets for file in dataset.files]
    trees = sorted({file.file.treename for file in files})
    raise NoEventsError(
        f"The whole fileset holds no event: {len(files)} file(s) counted, all of them empty.",
        why=f"tree(s) read: {', '.join(trees)}",
        fix="check what wrote the files, or name another tree with `treename`",
        n_files=len(files),
    )
