import contextlib
import os
import signal
import subprocess
import sys
import time

import pytest
from coffea.nanoevents import BaseSchema

import beampipe as bp
from beampipe.errors import (
    FileMissingError,
    ProcessorParamsError,
    RunInterruptedError,
    RunStoppedError,
    SchemaError,
)
from beampipe.runs import run as run_module
from beampipe.runs.run import options_to_json


def count_events(events):
    return {"n": len(events)}


def run(processor, fileset, tmp_path, **options):
    return bp.run(
        processor,
        fileset,
        **{"client": "inline", "run_dir": tmp_path / "a run", "progress": False, **options},
    )


def test_a_run_here_and_what_it_gives_back(samples, analysis, tmp_path):
    result = run(f"{analysis}:process", samples, tmp_path, chunksize=200, params={"cut": 20.0})
    assert result.status == "complete"
    assert result.output["n"] == 2000
    assert 0 < result.output["met"].sum() < 2000
    assert result.by_dataset["data"]["n"] == 2000
    assert result.accounting.datasets[0].chunks_planned == 10
    assert result.run_dir == tmp_path / "a run"
    assert result.provenance["schema"] == "NanoAODSchema"
    assert result.provenance["params"] == {"cut": "20.0"}
    assert {"plan", "start", "process"} <= set(result.metrics["stages_s"])
    assert bp.verify(result.run_dir).is_proved


def test_without_a_run_directory_it_gets_a_new_one_with_the_name(samples, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run(count_events, samples, tmp_path, run_dir=None, name="my µ run")
    assert result.run_dir.is_absolute()
    assert result.run_dir.parent == tmp_path / "beampipe-runs"
    assert "my-µ-run" in result.run_dir.name
    assert result.name == "my µ run"


@pytest.mark.parametrize(
    ("limit", "events"), [({"maxfiles": 1}, 1000), ({"maxchunks": 1}, 200), ({"maxevents": 7}, 7)]
)
def test_trials_on_a_part(limit, events, samples, tmp_path):
    assert run(count_events, samples, tmp_path, chunksize=200, **limit).output == {"n": events}


@pytest.mark.parametrize("schema", [None, "none", "BaseSchema", BaseSchema])
def test_schemas(schema, samples, tmp_path):
    def process(events):
        return {"n": len(events["MET_pt"])}

    assert run(process, samples, tmp_path, schema=schema).output == {"n": 2000}


def test_an_unknown_schema_leaves_no_directory(samples, tmp_path):
    with pytest.raises(SchemaError, match="NanoAODSchema"):
        run(count_events, samples, tmp_path, schema="NanoADOSchema")
    assert not (tmp_path / "a run").exists()


def test_wrong_params_are_told_before_anything_else(analysis, tmp_path):
    with pytest.raises(ProcessorParamsError, match="cut"):
        run(f"{analysis}:process", "/nowhere.root", tmp_path, params={"cutt": 1})


@pytest.mark.parametrize(("missing", "words"), [(1, ""), (2, "one more file"), (4, "3 more files")])
def test_files_that_cannot_be_used(missing, words, samples, tmp_path):
    files = [*map(str, samples.glob("*.root")), *(f"/gone/{n}.root" for n in range(missing))]
    with pytest.raises(FileMissingError) as caught:
        run(count_events, {"DY": files}, tmp_path)
    assert words in caught.value.why
    assert 'on_error="skip"' in caught.value.fix
    assert not (tmp_path / "a run").exists()
    result = run(count_events, {"DY": files}, tmp_path, on_error="skip")
    assert result.status == "incomplete"
    assert len(result.failures) == missing
    assert result.output == {"n": 2000}


def test_a_run_that_stops_says_where_its_directory_is(samples, analysis, tmp_path):
    with pytest.raises(RunStoppedError, match="no luck") as caught:
        run(f"{analysis}:fail_in_the_second_file", samples, tmp_path, chunksize=100)
    assert caught.value.run_dir == tmp_path / "a run"
    assert bp.load(tmp_path / "a run").output["n"] >= 1000


def test_no_client_with_no_workers_runs_here(samples, tmp_path):
    def process(events):
        return {"pid": {os.getpid()}}

    assert run(process, samples, tmp_path, client=None, workers=0).output["pid"] == {os.getpid()}


def test_what_resume_needs_is_kept():
    options = run_module.RunOptions(treename="Events")
    assert options_to_json(options)["treename"] == "Events"
    assert options_to_json(options)["on_error"] == "stop"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_workers_are_found_names_how_to_go_on(
    number, samples, tmp_path, monkeypatch
):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)

    @contextlib.contextmanager
    def open_pool(*_, **__):
        os.kill(os.getpid(), number)
        time.sleep(5)
        yield

    monkeypatch.setattr(run_module, "open_pool", open_pool)
    with pytest.raises(RunInterruptedError, match="beampipe resume") as caught:
        run(count_events, samples, tmp_path)
    assert caught.value.run_dir == tmp_path / "a run"
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_progress_goes_to_standard_error(samples, tmp_path, capsys):
    run(count_events, samples, tmp_path, progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[-1].startswith("100%  2000/2000 events")
    assert "no worker" not in err


def test_the_driver_need_not_import_coffea(samples, tmp_path):
    code = f"""
import sys
import beampipe as bp
from beampipe.runs import embedded
embedded._DASHBOARD_AFTER_S = 600.0  # which a busy machine may reach
def process(events):
    return {{"n": len(events)}}
assert bp.run(process, {str(samples)!r}, workers=1, progress=False, run_dir="r").output["n"] == 2000
late = {{"coffea", "bokeh", "numba"}} & set(sys.modules)
assert not late, f"a second that the first histogram waits for: {{late}}"
"""
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=120)
