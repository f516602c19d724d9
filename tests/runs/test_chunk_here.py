import awkward as ak
import pytest

from beampipe.datasets.fileset import read_fileset
from beampipe.datasets.planning import make_plan
from beampipe.errors import ColumnNotFoundError, FileMissingError, ProcessorOutputError
from beampipe.execution.processors import load_processor
from beampipe.runs.chunk_here import run_chunk_here


@pytest.fixture
def chunk(samples):
    plan = make_plan(read_fileset(samples), chunksize=200)
    return list(plan.chunks())[1]


def do(processor, chunk, schema="NanoAODSchema"):
    return run_chunk_here(
        load_processor(processor), chunk, schema=schema, metadata={"is_data": True}
    )


def test_what_one_chunk_did(chunk):
    def process(events):
        assert events.metadata["is_data"] is True
        return {"sum": float(ak.sum(events.MET.pt)), "n": len(events)}

    trial = do(process, chunk)
    assert trial.output["n"] == trial.n_events == trial.stop - trial.start
    assert trial.start > 0
    assert "MET_pt" in trial.columns
    assert len(trial.columns) < 10
    assert trial.bytes_read > 0
    assert min(trial.open_s, trial.read_s, trial.process_s) >= 0
    assert trial.url == chunk.plan.file.urls[0]


def test_plain_arrays(chunk):
    trial = do(lambda events: {"n": len(events["MET_pt"])}, chunk, schema=None)
    assert trial.output["n"] == trial.n_events


def test_columns_that_are_returned_outlive_their_file(chunk):
    """They are read when they are looked at, which would be after the file is closed."""
    trial = do(lambda events: {"all": {"met": events.MET.pt}, "met": events.MET.phi}, chunk)
    assert len(ak.to_list(trial.output["all"]["met"])) == trial.n_events
    assert len(ak.to_list(trial.output["met"])) == trial.n_events
    assert {"MET_pt", "MET_phi"} <= set(trial.columns)


def test_what_the_processor_raises_comes_out(chunk):
    def process(events):
        raise ZeroDivisionError("my own")

    with pytest.raises(ZeroDivisionError, match="my own"):
        do(process, chunk)


def test_a_column_that_is_not_there_gets_the_closest_names(chunk):
    with pytest.raises(ColumnNotFoundError, match=r"MET\.pt|pt") as caught:
        do(lambda events: {"n": events.MET.ptt}, chunk)
    assert isinstance(caught.value.__cause__, AttributeError)


def test_a_processor_that_returns_nothing(chunk):
    with pytest.raises(ProcessorOutputError):
        do(lambda _: None, chunk)


def test_a_file_that_is_gone(chunk, tmp_path):
    import dataclasses

    file = dataclasses.replace(chunk.plan.file, urls=(str(tmp_path / "gone.root"),))
    plan = dataclasses.replace(chunk.plan, file=file)
    with pytest.raises(FileMissingError):
        do(lambda _: {"n": 1}, dataclasses.replace(chunk, plan=plan))
