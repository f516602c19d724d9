"""Plans, partials and run directories that the tests of this room begin with."""

from __future__ import annotations

from pathlib import Path

import pytest

from beampipe.datasets.model import Chunk, DatasetPlan, FileEntry, FilePlan, Plan
from beampipe.execution.manifest import DoneChunk, FailedChunk, Manifest
from beampipe.execution.partials import Partial
from beampipe.execution.run_directory import RunDirectory, create_run_directory

HOSTILE = "Z → µµ 'x' \"q\" ../%s\n"
RUN_ID = "0123456789abcdef"


@pytest.fixture
def hostile_name() -> str:
    """A dataset's name that wants to break files, formats and queries."""
    return HOSTILE


@pytest.fixture
def run_id() -> str:
    """The run that `run_directory` holds."""
    return RUN_ID


@pytest.fixture
def make_file_plan():
    """Plan one file of some entries in `n` chunks."""

    def make(uuid="u", *, dataset=HOSTILE, entries=100, n=4, used=None, steps=None) -> FilePlan:
        file = FileEntry(dataset, (f"/data/{uuid} µ.root",), "Events", uuid, entries)
        used = n if used is None else used
        return FilePlan(file, n, used, used * entries // n, steps)

    return make


@pytest.fixture
def make_plan(make_file_plan):
    """Plan one dataset with these files: {uuid: entries}."""

    def make(files=None, *, n=4, dataset=HOSTILE) -> Plan:
        files = {"u": 100} if files is None else files
        plans = (
            make_file_plan(uuid, dataset=dataset, entries=entries, n=n)
            for uuid, entries in files.items()
        )
        return Plan((DatasetPlan(dataset, tuple(plans)),), 25)

    return make


@pytest.fixture
def make_failed():
    """A chunk that failed."""

    def make(uuid="u", k=0, n=4, *, start=0, stop=25, **others) -> FailedChunk:
        facts = {"url": "/a b.root", "code": "processor-failed", "error_type": "ValueError"}
        facts |= {"message": 'no "µ" \udcff'} | others
        return FailedChunk(uuid, k, n, start, stop, **facts)

    return make


@pytest.fixture
def make_partial():
    """A partial that holds the quarters `ks` of a file of 100 events."""

    def make(*ks, uuid="u", dataset=HOSTILE, value=None, failed=()) -> Partial:
        done = tuple(DoneChunk(uuid, k, 4, 25 * k, 25 * k + 25) for k in ks)
        value = {"n": 25 * len(ks)} if value is None else value
        return Partial(Manifest(dataset, done, tuple(failed)), value if ks else None, {"s": 1.0})

    return make


@pytest.fixture
def run_directory(tmp_path: Path) -> RunDirectory:
    """A run without segments."""
    run = {"run_id": RUN_ID, "name": HOSTILE, "created": "2026-11-20T00:00:00+00:00"}
    return create_run_directory(tmp_path / "run 'µ'", run=run, plan={}, processor=b"")


@pytest.fixture
def chunks_of():
    """All chunks of a file's plan."""

    def cut(plan: FilePlan) -> list[Chunk]:
        return [Chunk(plan, k) for k in range(plan.used_chunks)]

    return cut
