"""A driver's work from taking the ledger to writing the outcome."""

import json
import os

import cloudpickle
import hist
import numpy as np
import pytest

from beampipe.datasets.fileset import read_fileset
from beampipe.datasets.planning import make_plan
from beampipe.datasets.samples import make_data
from beampipe.errors import (
    AccumulationError,
    ProcessorFailedError,
    RunHeldError,
    RunInterruptedError,
    RunStoppedError,
    RunStorageError,
    TrustError,
)
from beampipe.execution.driver import DriverOptions
from beampipe.execution.engine import execute, lay_out, load_job, make_context
from beampipe.execution.inline_pool import InlinePool
from beampipe.execution.ledger import Ledger
from beampipe.execution.processors import load_processor
from beampipe.execution.record_reader import read_record, read_summary

SKIP, STOP = DriverOptions(on_error="skip"), DriverOptions(on_error="stop")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("some data")
    make_data(folder, files=2, events=400, seed=3)
    return folder


@pytest.fixture
def new_job(folder, tmp_path):
    def make(processor, fileset=None):
        plan = make_plan(read_fileset(fileset or folder), chunksize=50)
        loaded = load_processor(processor)
        return lay_out(
            tmp_path / "runs" / "a run",
            plan,
            loaded,
            context=make_context(loaded, None, plan),
            name="a run",
            provenance={},
            options={"on_error": "skip"},
        )

    return make


def start(job, options=SKIP, **more):
    return execute(job, InlinePool(job.context), options=options, **more)


def count_events(events):
    return {"n": len(events)}


def test_a_run_from_beginning_to_end(new_job):
    job = new_job(count_events)
    record = start(job, stages_s={"plan": 0.5})
    assert record.status == "complete"
    assert record.output == {"n": 800}
    assert record.accounting.is_complete
    assert record.metrics["events"] == 800
    assert record.metrics["stages_s"]["plan"] == 0.5
    assert record.metrics["stages_s"]["process"] > 0
    assert not job.directory.lease_file.exists()
    assert read_record(job.directory.path).output == {"n": 800}


class Counting:
    """A coffea-like processor that keeps state in itself, as coffea allows."""

    def __init__(self):
        self.n = 0

    def process(self, events):
        self.n += len(events)
        return {"n": self.n}

    def postprocess(self, output):
        return {**output, "finished": True}


def test_state_in_a_processor_does_not_count_twice(new_job):
    record = start(new_job(Counting()))
    assert record.output == {"n": 800, "finished": True}
    assert record.by_dataset == {"data": {"n": 800}}


def broken_in_the_second_file(events):
    if "001" in events.metadata["filename"]:
        raise ValueError("a bug")
    return {"n": len(events)}


def test_skip_records_every_hole_and_says_incomplete(new_job):
    record = start(new_job(broken_in_the_second_file))
    assert record.status == "incomplete"
    assert record.output == {"n": 400}
    (dataset,) = record.accounting.datasets
    assert (dataset.events_processed, dataset.events_failed) == (400, 400)
    assert dataset.balances
    assert len(record.failures) == 8
    assert [failure.number for failure in record.failures] == list(range(1, 9))
    failure = record.failures[0]
    assert "a bug" in failure.message
    assert "broken_in_the_second_file" in failure.traceback
    assert failure.url.endswith("events_001.root")


def test_stop_keeps_what_was_done(new_job):
    job = new_job(broken_in_the_second_file)
    with pytest.raises(RunStoppedError, match="a bug") as caught:
        start(job, STOP)
    assert caught.value.run_dir == job.directory.path
    record = read_record(job.directory.path)
    assert record.status == "failed"
    assert record.output["n"] == record.accounting.events_processed == 400
    assert record.accounting.datasets[0].balances


def test_resume_does_only_what_is_missing_and_tries_failed_chunks_again(new_job):
    job = new_job(broken_in_the_second_file)
    with pytest.raises(RunStoppedError):
        start(job, STOP)
    mended = load_processor(count_events)
    again = load_job(job.directory.path)
    context = make_context(mended, None, again.plan)
    record = execute(again, InlinePool(context), options=STOP)
    assert record.status == "complete"
    assert record.output == {"n": 800}
    assert record.metrics["events"] == 400
    assert record.accounting["data"].chunks_reused == 8
    assert record.failures == ()


def test_resume_of_a_complete_run_does_nothing(new_job):
    job = new_job(count_events)
    start(job)
    record = start(load_job(job.directory.path))
    assert record.status == "complete"
    assert record.metrics["events"] == 0
    assert record.accounting["data"].chunks_reused == 16


def differs_by_dataset(events):
    return {"x": 1} if events.metadata["dataset"] == "a" else {"x": {"deep": 1}}


def test_datasets_that_cannot_be_added_are_an_error_and_each_is_kept(new_job, folder):
    fileset = {"a": [folder / "events_000.root"], "b": [folder / "events_001.root"]}
    job = new_job(differs_by_dataset, fileset)
    with pytest.raises(AccumulationError, match=r'output\["x"\]'):
        start(job)
    assert read_summary(job.directory.path).status == "failed"
    assert read_summary(job.directory.path).accounting.is_complete


class BadEnd:
    def process(self, events):
        return {"n": len(events)}

    def postprocess(self, _output):
        raise KeyError("wrong")


def test_a_postprocess_that_raises_loses_nothing(new_job):
    job = new_job(BadEnd())
    with pytest.raises(ProcessorFailedError, match="postprocess raised KeyError"):
        start(job)
    record = read_record(job.directory.path)
    assert record.output == {"n": 800}
    assert record.status == "failed"


def test_an_interrupt_in_the_middle(new_job):
    job = new_job(count_events)

    def interrupt(progress):
        if progress.chunks_done > 5 and progress.stage == "running":
            raise KeyboardInterrupt

    with pytest.raises(RunInterruptedError, match="beampipe resume") as caught:
        start(job, notify=interrupt)
    assert caught.value.run_dir == job.directory.path
    record = read_record(job.directory.path)
    assert record.status == "interrupted"
    assert 0 < record.accounting.events_processed < 800
    assert start(load_job(job.directory.path)).output == {"n": 800}


def test_a_second_driver_is_kept_out(new_job):
    job = new_job(count_events)
    lease = {"host": os.uname().nodename, "pid": os.getppid(), "driver": "x", "time": 2e9}
    job.directory.lease_file.write_text(json.dumps(lease))
    with pytest.raises(RunHeldError, match=str(os.getppid())):
        start(job)
    assert read_summary(job.directory.path).status == "running"


def test_a_driver_that_slept_while_another_did_everything_leaves_the_outcome_alone(
    new_job, monkeypatch
):
    """Its process is stopped right after its first claim, and goes on when all is done."""
    job = new_job(count_events)
    heartbeat = Ledger.heartbeat

    def sleep(ledger):
        monkeypatch.setattr(Ledger, "heartbeat", heartbeat)
        assert start(load_job(job.directory.path)).status == "complete"
        heartbeat(ledger)

    monkeypatch.setattr(Ledger, "heartbeat", sleep)
    with pytest.raises(RunHeldError):
        start(job)
    assert read_summary(job.directory.path).status == "complete"


def test_a_disk_that_is_full_at_the_commit(new_job, monkeypatch):
    job = new_job(count_events)

    def full(*args, **kwargs):
        raise RunStorageError("Cannot write it.", why="the disk is full")

    monkeypatch.setattr("beampipe.execution.ledger.fill_segment", full)
    with pytest.raises(RunStorageError, match="disk is full"):
        start(job)
    monkeypatch.undo()
    assert start(load_job(job.directory.path)).output == {"n": 800}


def test_a_processor_from_somebody_elses_directory_is_not_loaded(new_job):
    job = new_job(count_events)
    job.directory.path.chmod(0o777)
    with pytest.raises(TrustError, match="pickle"):
        load_job(job.directory.path)


def test_the_context_holds_what_workers_need(new_job):
    job = new_job(Counting())
    processor, schema = cloudpickle.loads(job.context.payload)
    assert processor.name == "Counting"
    assert schema is None
    assert job.context.metadata == {"data": {}}
    assert load_job(job.directory.path).context.digest == job.context.digest


def test_what_passes_is_tried_again_and_told_also_after_a_resume(new_job, tmp_path, monkeypatch):
    from beampipe.execution import retries

    monkeypatch.setattr(retries.RetryPolicy, "wait_s", lambda *_: 0.0)
    folder = tmp_path / "tries"
    folder.mkdir()

    def flaky(events):
        start = events.metadata["entrystart"]
        place = folder / f"{events.metadata['fileuuid']}-{start}"
        n_before = len(place.read_text()) if place.exists() else 0
        place.write_text("x" * (n_before + 1))
        if start == 50 and n_before < 2:
            raise ConnectionResetError("a line went down")
        if start == 100 and n_before < 4:
            raise TimeoutError("nobody answers")
        return {"n": len(events)}

    job = new_job(flaky)
    record = start(job)
    assert record.metrics["retries"] == 2 * 2 + 2 * 3
    assert record.output == {"n": 700}
    assert {failure.kind for failure in record.failures} == {"transient"}
    assert {failure.attempt for failure in record.failures} == {4}
    assert {entry["what"] for entry in record.incidents} >= {"retry"}
    n_before = len(record.incidents)
    record = start(load_job(job.directory.path))
    assert record.output == {"n": 800}
    assert len(record.incidents) == n_before


def sum_of_thirds(events):
    return {"x": sum(1 / (3 + float(met)) for met in events.MET_pt)}


def test_a_reproducible_run_says_so(new_job):
    record = start(new_job(sum_of_thirds), DriverOptions(reproducible=True))
    assert record.metrics["reproducible"] is True
    assert record.metrics["reproducible_why"] == ""


def test_the_workers_time_is_told_stage_by_stage(new_job):
    metrics = start(new_job(fill_something)).metrics
    stages = metrics["stages_s"]
    assert {"open", "read", "process", "fill", "add", "merge", "wait"} <= set(stages)
    assert 0 < stages["fill"] < stages["process"]
    assert stages["merge"] > 0
    # One thread, which was there all the time.
    assert metrics["work_s"] <= metrics["threads_s"] <= metrics["wall_s"]
    assert metrics["work_s"] + stages["wait"] == pytest.approx(metrics["threads_s"])
    assert metrics["chunks"] == 16


def fill_something(events):
    return {"x": hist.Hist.new.Reg(10, 0, 100, name="x").Double().fill(np.arange(len(events)))}
