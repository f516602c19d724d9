"""A run of a few chunks, by the engine's own code from the ledger down; no events are read."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

from beampipe.datasets.model import DatasetPlan, FileEntry, FilePlan, Plan
from beampipe.datasets.plan_format import plan_digest, plan_to_json
from beampipe.execution.driver import DriverOptions
from beampipe.execution.engine import Job, _finish, write_outcome
from beampipe.execution.ledger import Ledger
from beampipe.execution.manifest import DoneChunk, Manifest
from beampipe.execution.partials import Partial
from beampipe.execution.record import RunRecord
from beampipe.execution.record_reader import read_record, read_summary
from beampipe.execution.run_directory import create_run_directory, open_run_directory
from beampipe.execution.segments import read_segment, write_segment
from beampipe.results.verification import verify_run

RUN_ID, SOURCE_ID = "00c0ffee", "0fab1e"
DATASETS = ("Z → µµ 'x' \"q\"", "TT")
N_CHUNKS = 4  # of each dataset
# Each event is its own power of two, so that a sum tells exactly which events are in it.
EXPECTED = {"n": 10 * N_CHUNKS * len(DATASETS), "which": 2 ** (N_CHUNKS * len(DATASETS)) - 1}
ADOPTED = (DATASETS[0], 3)


def make_plan() -> Plan:
    files = {
        dataset: FilePlan(
            FileEntry(dataset, (f"/{number}.root",), "Events", f"u{number}", 10 * N_CHUNKS),
            N_CHUNKS,
            N_CHUNKS,
            10 * N_CHUNKS,
            None,
        )
        for number, dataset in enumerate(DATASETS)
    }
    return Plan(tuple(DatasetPlan(name, (file,)) for name, file in files.items()), 10)


def make_partial(dataset: str, k: int) -> Partial:
    number = DATASETS.index(dataset)
    done = (DoneChunk(f"u{number}", k, N_CHUNKS, 10 * k, 10 * k + 10),)
    value = {"n": 10, "which": 2 ** (N_CHUNKS * number + k)}
    return Partial(Manifest(dataset, done), value, {"s": 1.0})


def lay_out_small_run(path: Path) -> None:
    plan = make_plan()
    run = {
        "run_id": RUN_ID,
        "name": "small",
        "created": "2026-11-20T00:00:00+00:00",
        "provenance": {"plan_sha256": plan_digest(plan)},
    }
    create_run_directory(path, run=run, plan=plan_to_json(plan), processor=b"a pickle")


def write_source(path: Path) -> None:
    """A segment of another run, that holds one of the chunks."""
    partial = make_partial(*ADOPTED)
    write_segment(path, run_id=SOURCE_ID, number=12, partial=partial)


def work(path: Path, source: Path, promise: Callable[[str], None] = lambda _: None) -> None:
    """One driver, from taking the run to its outcome.

    `promise` hears of what must never be lost any more: ``dataset/k``, and ``complete``.
    """
    directory, run = open_run_directory(path)
    processor = SimpleNamespace(origin="", postprocess=lambda output: output)
    job = Job(directory, run["run_id"], run["name"], make_plan(), None, processor)
    ledger = Ledger.take(directory, run_id=RUN_ID, driver=secrets.token_hex(8))
    try:
        before = ledger.segments()
        done = {(one.manifest.dataset, c.k) for one in before for c in one.manifest.done}
        missing = [(name, k) for name in DATASETS for k in range(N_CHUNKS)]
        missing = [chunk for chunk in missing if chunk not in done]
        while missing:
            # One, then one of another run, then several.
            chunks = missing[:1] if len(missing) > 5 or missing[0] == ADOPTED else missing[:3]
            missing = missing[len(chunks) :]
            entries = (
                read_segment(source, run_id=SOURCE_ID) if chunk == ADOPTED else make_partial(*chunk)
                for chunk in chunks
            )
            ledger.commit_all(entries)
            for dataset, k in chunks:
                promise(f"{dataset}/{k}")
        ledger.confirm()
        status = _finish(job, ledger, DriverOptions())
        write_outcome(job, ledger, before, status=status, course={"wall_s": 0.0})
        promise("complete")
    finally:
        ledger.release()


def counted_chunks(path: Path) -> tuple[RunRecord, set[str]]:
    """What a run holds, in everybody's opinion; each chunk once."""
    record = read_record(path)
    proof = verify_run(path)
    assert proof.is_proved, proof.errors
    assert read_summary(path).accounting.events_processed == record.accounting.events_processed
    assert sum(one.events_processed for one in proof.datasets) == record.accounting.events_processed
    assert proof.is_complete == record.accounting.is_complete
    which = 0 if record.output is None else record.output["which"]
    n_events = 0 if record.output is None else record.output["n"]
    chunks = {
        f"{name}/{k}"
        for number, name in enumerate(DATASETS)
        for k in range(N_CHUNKS)
        if which >> (N_CHUNKS * number + k) & 1
    }
    assert n_events == 10 * len(chunks) == record.accounting.events_processed
    return record, chunks


def check_exact(path: Path) -> None:
    """The run is complete, and its result is exactly what it must be."""
    record, chunks = counted_chunks(path)
    assert record.output == EXPECTED
    assert len(chunks) == N_CHUNKS * len(DATASETS)
    assert record.status == "complete"
    assert record.accounting.is_complete
