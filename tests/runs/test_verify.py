import pytest

import beampipe as bp
from beampipe.errors import NotARunError


def count_events(events):
    return {"n": len(events)}


def test_a_run_is_proved_by_path_and_by_name(samples, tmp_path, monkeypatch):
    monkeypatch.setenv("BEAMPIPE_RUN_ROOT", str(tmp_path))
    result = bp.run(count_events, samples, client="inline", name="mine", progress=False)
    for run_dir in (result.run_dir, result.run_dir.name, "latest"):
        proof = bp.verify(run_dir)
        assert proof.is_proved
        assert proof.is_complete
    with pytest.raises(NotARunError):
        bp.verify("nothing")
