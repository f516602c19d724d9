import math

import pytest
from dask.system import CPU_COUNT

import beampipe as bp
from beampipe.errors import FileMissingError, NoEventsError, ProcessorParamsError
from beampipe.runs.chunk_here import ChunkTrial
from beampipe.runs.trial import Trial
from beampipe.testing.tiny_files import write_tree_file


def test_one_chunk_here_and_what_the_whole_would_take(samples, analysis, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.iterdir())
    trial = bp.try_run(f"{analysis}:process", samples, chunksize=200, params={"cut": 10.0})
    assert trial.output["n"] == 200
    assert trial.plan.n_events == 2000
    assert trial.plan.n_chunks == 10
    assert trial.events_per_s > 0
    assert trial.wall_s(2) == pytest.approx(trial.wall_s(1) / 2)
    assert trial.wall_s(1) == pytest.approx(2000 / trial.events_per_s)
    assert trial.total_bytes == pytest.approx(10 * trial.chunk.bytes_read)
    assert trial.n_cores == CPU_COUNT
    # Nothing is written; what Python itself keeps of an imported module is not ours.
    assert {path for path in tmp_path.iterdir() if path.name != "__pycache__"} == before


def test_breakpoints_work(samples):
    """The function is called in this process and in this thread."""
    seen = []

    def process(events):
        seen.append(len(events))
        return {"n": len(events)}

    bp.try_run(process, samples)
    assert seen == [1000]


def test_no_time_is_no_rate():
    chunk = ChunkTrial({}, "/a.root", 0, 0, (), 0, 0.0, 0.0, 0.0, 0)
    trial = Trial(chunk, bp.try_run.__globals__["Plan"]((), 100))
    assert trial.events_per_s == 0
    assert math.isinf(trial.wall_s(1))
    assert trial.total_bytes == 0


def test_bad_files_are_passed_over_if_there_are_good_ones(samples, tmp_path):
    def process(events):
        return {"n": len(events)}

    files = [str(tmp_path / "gone.root"), *map(str, samples.glob("*.root"))]
    trial = bp.try_run(process, files)
    assert trial.output == {"n": 1000}
    assert len(trial.plan.datasets[0].uncounted) == 1
    with pytest.raises(FileMissingError):
        bp.try_run(process, files[:1])


def test_nothing_to_try_on(tmp_path):
    with pytest.raises(NoEventsError):
        bp.try_run(len, write_tree_file(tmp_path / "empty.root", events=0))


def test_wrong_params(samples, analysis):
    with pytest.raises(ProcessorParamsError):
        bp.try_run(f"{analysis}:process", samples, params={"cutt": 1})
