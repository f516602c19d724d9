import time

import pytest

import beampipe as bp
from beampipe.errors import (
    ArgumentError,
    NotARunError,
    RunBudgetExceededError,
    RunHeldError,
    RunStoppedError,
    TrustError,
)
from beampipe.execution.run_directory import RunDirectory
from beampipe.execution.storage import write_json


@pytest.fixture
def stopped(samples, tmp_path):
    """A run whose second file fails as long as there is a certain file."""
    (tmp_path / "broken").touch()
    path = tmp_path / "analysis.py"
    path.write_text(f"""
import os

def process(events):
    if os.path.exists({str(tmp_path / "broken")!r}) and "_001" in events.metadata["filename"]:
        raise OSError("the calibration is not there")
    return {{"n": len(events)}}
""")
    with pytest.raises(RunStoppedError):
        bp.run(
            f"{path}:process",
            samples,
            client="inline",
            chunksize=200,
            run_dir=tmp_path / "a run",
            progress=False,
        )
    path.unlink()  # the processor is in the run directory
    return tmp_path / "a run"


def test_chunks_that_failed_are_tried_again(stopped):
    (stopped.parent / "broken").unlink()
    result = bp.resume(stopped, client="inline", progress=False)
    assert result.status == "complete"
    assert result.output == {"n": 2000}
    assert result.accounting.datasets[0].chunks_reused >= 5
    assert not result.failures


def test_it_goes_on_as_it_began_or_otherwise(stopped):
    with pytest.raises(RunStoppedError):
        bp.resume(stopped, client="inline", progress=False)
    result = bp.resume(stopped, client="inline", on_error="skip", progress=False)
    assert result.status == "incomplete"
    assert result.output == {"n": 1000}
    assert len(result.failures) == 5


def test_workers_of_its_own_and_a_name_below_the_run_root(stopped, monkeypatch):
    (stopped.parent / "broken").unlink()
    monkeypatch.setenv("BEAMPIPE_RUN_ROOT", str(stopped.parent))
    result = bp.resume("a run", workers=1, progress=False)
    assert result.metrics["n_workers"] == 1
    assert result.output == {"n": 2000}


def test_a_run_that_is_held(stopped):
    directory = RunDirectory(stopped)
    lease = {"host": "elsewhere.cern.ch", "pid": 1, "driver": "other", "time": 0.0}
    write_json(directory.lease_file, {**lease, "time": time.time()})
    with pytest.raises(RunHeldError, match=r"elsewhere\.cern\.ch"):
        bp.resume(stopped, client="inline", progress=False)


def test_wrong_arguments_and_wrong_places(stopped, tmp_path):
    with pytest.raises(ArgumentError, match="stop, skip"):
        bp.resume(stopped, on_error="go on")
    with pytest.raises(ArgumentError, match=r"distributed\.Client"):
        bp.resume(stopped, client=3)
    with pytest.raises(NotARunError):
        bp.resume(tmp_path / "no run")


def test_a_processor_of_somebody_else_is_not_run(stopped):
    stopped.chmod(0o777)
    with pytest.raises(TrustError):
        bp.resume(stopped, client="inline", progress=False)


def test_a_budget_stops_a_run_and_more_lets_it_go_on(stopped, samples, tmp_path):
    processor = tmp_path / "again.py"
    processor.write_text("""
def process(events):
    if events.metadata["entrystart"] >= 600:
        raise ValueError("no")
    return {"n": len(events)}
""")
    options = {"client": "inline", "progress": False}
    with pytest.raises(RunBudgetExceededError) as caught:
        bp.run(
            f"{processor}:process",
            samples,
            chunksize=200,
            on_error="skip",
            max_failed="10%",
            run_dir=tmp_path / "budget",
            **options,
        )
    run_dir = caught.value.run_dir
    assert "ValueError [processor-failed]" in caught.value.reasons
    kept = bp.load(run_dir)
    assert kept.status == "failed"
    assert 0 < kept.output["n"] == kept.accounting.events_processed < 2000
    with pytest.raises(RunBudgetExceededError):  # with the budget that it began with
        bp.resume(run_dir, **options)
    result = bp.resume(run_dir, max_failed="50%", **options)
    assert result.status == "incomplete"
    assert result.accounting.datasets[0].events_not_reached == 0
    assert kept.output["n"] < result.output["n"] == result.accounting.events_processed
    # A bad file counts too, before anything is begun.
    (tmp_path / "bad.root").write_text("no")
    files = [str(path) for path in samples.glob("*.root")] + [str(tmp_path / "bad.root")]
    with pytest.raises(RunBudgetExceededError, match="NotRootError") as caught:
        bp.run(
            "builtins:len",
            files,
            on_error="skip",
            max_failed="10%",
            run_dir=tmp_path / "no",
            **options,
        )
    assert not (tmp_path / "no").exists()
    assert "run_dir" not in caught.value.facts
