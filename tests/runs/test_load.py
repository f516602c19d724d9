import numpy as np
import pytest

import beampipe as bp
from beampipe.errors import NotARunError, RunInterruptedError, TrustError


class Tally:
    """An accumulator that only pickle can keep."""

    def __init__(self, n):
        self.n = n

    def __add__(self, other):
        return Tally(self.n + other.n)


def run(processor, samples, path, **options):
    return bp.run(
        processor, samples, client="inline", run_dir=path, progress=False, chunksize=200, **options
    )


def test_a_result_is_loaded_as_it_was_returned(samples, analysis, tmp_path, monkeypatch):
    def process(events):
        return {"n": len(events), "pt": np.asarray(events.MET.pt), "files": {"a", "b"}}

    fresh = run(process, samples, tmp_path / "a run")
    monkeypatch.setenv("BEAMPIPE_RUN_ROOT", str(tmp_path))
    for name in (tmp_path / "a run", "a run", "latest"):
        loaded = bp.load(name)
        assert loaded.status == fresh.status == "complete"
        assert loaded.output["n"] == 2000
        assert loaded.output["files"] == {"a", "b"}
        assert np.array_equal(loaded.output["pt"], fresh.output["pt"])
        assert loaded.accounting == fresh.accounting
        assert loaded.metrics == fresh.metrics
        assert loaded.provenance == fresh.provenance
        assert loaded.name == fresh.name == "process"


def test_an_unfinished_run_is_what_is_committed(samples, tmp_path):
    def process(events):
        if "_001" in events.metadata["filename"] and events.metadata["entrystart"] == 400:
            raise KeyboardInterrupt
        return {"n": len(events)}

    with pytest.raises(RunInterruptedError):
        run(process, samples, tmp_path / "a run")
    loaded = bp.load(tmp_path / "a run")
    assert loaded.status == "interrupted"
    assert 1000 <= loaded.output["n"] <= 1400
    assert loaded.output["n"] == loaded.accounting.events_processed
    assert loaded.accounting.datasets[0].events_not_reached == 2000 - loaded.output["n"]


def test_pickles_are_loaded_from_ones_own_directory_or_when_asked_to(samples, tmp_path):
    path = tmp_path / "a run"
    run(lambda events: {"tally": Tally(len(events))}, samples, path)
    assert bp.load(path).output["tally"].n == 2000
    with pytest.raises(TrustError):
        bp.load(path, trust=False)
    path.chmod(0o777)
    with pytest.raises(TrustError):
        bp.load(path)
    assert bp.load(path, trust=True).output["tally"].n == 2000


def test_open_values_need_no_trust(samples, analysis, tmp_path):
    path = tmp_path / "a run"
    run(f"{analysis}:process", samples, path)
    path.chmod(0o777)
    assert bp.load(path).output["n"] == 2000


def test_what_is_no_run(tmp_path):
    with pytest.raises(NotARunError, match="run-not-found"):
        bp.load(tmp_path)
