"""Runs that take from earlier ones what is the same, and nothing else."""

import importlib.metadata
import json
import shutil
import subprocess
import sys

import pytest

import beampipe as bp
from beampipe.execution import reuse
from beampipe.execution.history import read_history
from beampipe.runs.verify import verify
from beampipe.testing.tiny_files import write_tree_file

ANALYSIS = """
import numpy as np
import neighbour
CUT = 20.0

def make(power):
    def shape(x):
        return x ** power
    return shape

shape = make(1)

def process(events, scale=1):
    from lazy import shift
    x = np.asarray(events["x"])
    return {"n": len(x), "sum": int(shape(x[x >= CUT]).sum()) * scale + shift(len(x))
            + neighbour.OFFSET * len(x)}
"""
FILES = {"neighbour": "OFFSET = 1\n", "lazy": "def shift(n):\n    return 2 * n\n"}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with data and an analysis, in which runs are made."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for number in range(6):
        write_tree_file(tmp_path / "data" / f"f{number}.root", events=100)
    (tmp_path / "analysis.py").write_text(ANALYSIS)
    for name, text in FILES.items():
        (tmp_path / f"{name}.py").write_text(text)
    yield tmp_path
    forget_modules()


def forget_modules():
    for name in ("analysis", "other", "neighbour", "lazy"):
        sys.modules.pop(name, None)


def run(processor="analysis.py:process", fileset="data", **options):
    """A run in this process, with modules imported anew; one commit per group of files."""
    forget_modules()
    sys.path[:] = [folder for folder in sys.path if not folder.endswith("here")]
    options = {"schema": None, "client": "inline", "progress": False, "chunksize": 50} | options
    return bp.run(processor, fileset, **options)


def reused(result):
    return sum(dataset.chunks_reused for dataset in result.accounting.datasets)


def test_nothing_changed_takes_everything_and_starts_no_workers(place, monkeypatch):
    first = run()
    assert (reused(first), first.output["n"]) == (0, 600)
    asked = []
    real = bp.run.__globals__["open_pool"]

    def open_pool(client, *args, **options):
        asked.append(client)
        return real(client, *args, **options)

    monkeypatch.setitem(bp.run.__globals__, "open_pool", open_pool)
    monkeypatch.setitem(bp.run.__globals__, "prepared_workers", lambda *_: pytest.fail("warmed"))
    second = run(client=None)
    assert asked == ["inline"]
    assert reused(second) == 12
    assert second.is_complete
    assert second.output == first.output
    assert second.by_dataset == first.by_dataset
    assert any(first.run_dir.name in note for note in second.notes)
    assert verify(second.run_dir).is_complete
    assert bp.load(second.run_dir).output == first.output


def test_files_that_are_added_are_done_and_no_others(place):
    run()
    write_tree_file(place / "data" / "g.root", events=100)
    result = run()
    assert (reused(result), result.output["n"]) == (12, 700)
    assert verify(result.run_dir).is_complete
    third = run()
    assert reused(third) == 14


def test_a_file_that_is_dropped_or_replaced_costs_its_group(place):
    names = [str(place / "data" / f"f{number}.root") for number in range(6)]
    first = run(fileset={"A": names[:2], "B": names[2:4], "C": names[4:]})
    assert first.is_complete
    write_tree_file(place / "data" / "f5.root", events=120)
    result = run(fileset={"A": names[:2], "B": names[2:3], "C": names[4:]})
    assert result.is_complete
    assert result.output["n"] == 200 + 100 + 220
    by_name = {dataset.name: dataset.chunks_reused for dataset in result.accounting.datasets}
    assert by_name == {"A": 4, "B": 2, "C": 2}  # so few files are a group each
    fresh = run(fileset={"A": names[:2], "B": names[2:3], "C": names[4:]}, fresh=True)
    assert fresh.output == result.output


def test_a_reproducible_run_takes_over_what_had_other_places_and_says_so(place):
    names = [str(place / "data" / f"f{number}.root") for number in range(6)]
    assert run(fileset=names[4:], reproducible=True).metrics["reproducible"]
    result = run(fileset=names, reproducible=True)
    assert (reused(result), result.output["n"]) == (4, 600)
    assert not result.metrics["reproducible"]
    assert "out of their order" in result.metrics["reproducible_why"]
    assert run(fileset=names, reproducible=True, fresh=True).metrics["reproducible"]


CHANGES = {
    "a constant": ("analysis", "CUT = 20.0", "CUT = 30.0"),
    "a default": ("analysis", "scale=1", "scale=2"),
    "a closure value": ("analysis", "make(1)", "make(2)"),
    "a function": ("analysis", ">= CUT", "> CUT + 1"),
    "a neighbour": ("neighbour", "OFFSET = 1", "OFFSET = 3"),
    "a module imported inside": ("lazy", "2 * n", "3 * n"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_old_results_are_not_served_after_a_change_of(change, place):
    module, old, new = CHANGES[change]
    first = run()
    path = place / f"{module}.py"
    path.write_text(path.read_text().replace(old, new))
    second = run()
    assert reused(second) == 0
    assert second.output["sum"] != first.output["sum"]
    assert second.output == run(fresh=True).output
    assert any("is of something else" in note for note in second.notes)
    path.write_text(path.read_text().replace(new, old))
    assert run().output == first.output


def test_a_change_is_named_with_its_values(place):
    run()
    (place / "analysis.py").write_text(ANALYSIS.replace("CUT = 20.0", "CUT = 25.0"))
    assert any("constant CUT: 20.0 → 25.0" in note for note in run().notes)


def test_layout_does_not_matter_nor_where_the_code_lies(place):
    run()
    (place / "here").mkdir()
    text = "# moved\n" + ANALYSIS.replace("x ** power", "(x\n        ** power)  # a comment")
    (place / "here" / "other.py").write_text(text)
    for name, content in FILES.items():
        (place / "here" / f"{name}.py").write_text(content)
        (place / f"{name}.py").unlink()
    assert reused(run("here/other.py:process")) == 12


def test_parameters_schema_chunks_and_versions(place, monkeypatch):
    run()
    assert reused(run(params={"scale": 2})) == 0
    assert reused(run(params={"scale": 2})) == 12
    assert reused(run(schema="BaseSchema", processor=lambda events: {"n": len(events)})) == 0
    assert reused(run(chunksize=100)) == 0
    real = importlib.metadata.version
    monkeypatch.setattr(
        importlib.metadata, "version", lambda name: "0.0" if name == "uproot" else real(name)
    )
    assert reused(run()) == 0
    monkeypatch.undo()
    assert real("uproot") != "0.0"


def test_metadata_and_names_of_datasets(place):
    files = str(place / "data")

    def fileset(name, xsec):
        return {name: {"files": [files], "metadata": {"xsec": xsec}}}

    run(fileset=fileset("DY", 1.0))
    assert reused(run(fileset=fileset("DY", 2.0))) == 0
    assert reused(run(fileset=fileset("TT", 1.0))) == 0
    assert reused(run(fileset=fileset("DY", 1.0))) == 12


def test_declared_inputs(place):
    table = place / "pileup.json"
    table.write_text("1")
    assert reused(run(inputs=[table])) == 0
    assert reused(run(inputs=table)) == 12
    table.write_text("2")
    assert reused(run(inputs=[table])) == 0
    assert reused(run()) == 0


def test_a_processors_state(place):
    class Counter:
        def __init__(self, step):
            self.step = step

        def process(self, events):
            return {"n": len(events) * self.step}

    assert reused(run(Counter(1))) == 0
    assert reused(run(Counter(1))) == 12
    second = run(Counter(2))
    assert (reused(second), second.output["n"]) == (0, 1200)


def test_a_trial_and_the_whole_share_what_they_have_in_common(place):
    trial = run(maxfiles=2)
    assert trial.output["n"] == 200
    whole = run()
    assert whole.output["n"] == 600
    assert reused(whole) == 4
    events = run(maxevents=130)
    assert events.output["n"] == 130
    assert run(maxevents=130).output == events.output
    assert run(fresh=True, maxevents=130).output == events.output


def test_fresh_takes_nothing(place):
    run()
    result = run(fresh=True)
    assert reused(result) == 0
    assert result.notes == ()


def test_what_cannot_be_compared_is_not_reused_and_that_is_said(place):
    (place / "analysis.py").write_text(
        "CODE = compile('1 + 1', 'x', 'eval')\n"
        "def process(events):\n    return {'n': len(events) * eval(CODE)}\n"
    )
    for _ in range(2):
        result = run()
        assert reused(result) == 0
        assert result.output["n"] == 1200
        assert result.provenance["identity"]["digest"] == ""
        assert any("cannot be compared: constant CODE" in note for note in result.notes)


def test_failed_chunks_are_tried_again(place):
    flag = place / "broken"
    (place / "analysis.py").write_text(
        "import os\n"
        "def process(events):\n"
        f"    if os.path.exists({str(flag)!r}) and 'f3' in events.metadata['filename']:\n"
        "        raise ValueError('not yet')\n"
        "    return {'n': len(events)}\n"
    )
    flag.touch()
    first = run(on_error="skip", schema="BaseSchema")
    assert first.output["n"] == 500
    flag.unlink()
    second = run(schema="BaseSchema")
    assert second.is_complete
    assert second.output["n"] == 600
    assert reused(second) == 11  # of each file one cluster, which one of its two chunks has


def test_runs_that_were_stopped_or_are_under_way_can_be_taken_from(place):
    first = run()
    (first.run_dir / "outcome.json").unlink()
    (first.run_dir / "result.zip").unlink()
    segments = sorted((first.run_dir / "segments").glob("*.zip"))
    lease = {"host": "elsewhere", "pid": 1, "driver": "x", "time": 4e9}
    (first.run_dir / "lease.json").write_text(json.dumps(lease))
    result = run()
    assert reused(result) == 12
    assert segments


def test_only_runs_that_are_the_users_alone_are_taken_from(place):
    first = run()
    first.run_dir.chmod(0o777)
    assert reused(run()) == 0


def test_a_run_whose_history_is_damaged_is_not_taken_from(place):
    """It might say that the run was gone on with after a change."""
    first = run()
    history = first.run_dir / "history.json"
    history.write_bytes(b"\0" * 100)
    second = run()
    assert (reused(second), second.output) == (0, first.output)
    shutil.rmtree(second.run_dir)
    history.unlink()
    assert reused(run()) == 12


def test_another_folder_of_runs_is_taken_from_when_it_is_named(place, monkeypatch):
    first = run()
    monkeypatch.setenv("BEAMPIPE_RUN_ROOT", str(place / "elsewhere"))
    assert reused(run(fresh=True)) == 0
    shutil.rmtree(place / "elsewhere")
    assert reused(run(reuse_from=first.run_dir.parent)) == 12
    shutil.rmtree(place / "elsewhere")
    assert reused(run(reuse_from=[first.run_dir])) == 12
    with pytest.raises(bp.BeampipeError, match="no runs to take from"):
        run(reuse_from=place / "nowhere")


def test_a_run_that_is_pruned_meanwhile_costs_no_events(place, monkeypatch):
    first = run()
    real = reuse.adopt

    def adopt(job, sources):
        shutil.rmtree(first.run_dir)
        real(job, sources)

    monkeypatch.setattr("beampipe.runs.reusing.adopt", adopt)
    result = run()
    assert (reused(result), result.output) == (0, first.output)
    assert result.is_complete


def test_where_results_come_from_is_written_down(place):
    first = run()
    second = run()
    (entry,) = read_history(second.run_dir)
    assert entry["what"] == "reused"
    assert entry["run_id"] == first.run_id
    assert entry["chunks"] == 12
    options = ["--schema", "none", "--chunksize", "50", "--json"]
    printed = subprocess.run(
        [sys.executable, "-m", "beampipe", "run", "analysis.py:process", "data", *options],
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(printed.stdout)
    assert found["datasets"]["data"]["chunks_reused"] == 12
    assert any("taken from" in note for note in found["notes"])


def test_files_that_are_opened_and_not_declared_are_named(place):
    table = place / "pile µp.txt"
    table.write_text("3")
    (place / "analysis.py").write_text(
        "from pathlib import Path\n"
        "def process(events):\n"
        f"    return {{'n': len(events) * int(Path({str(table)!r}).read_text())}}\n"
    )
    first = run()
    assert first.output["n"] == 1800
    assert any(f"not declared: {table}." in note for note in first.notes)
    second = run()
    assert reused(second) == 12
    assert any(f"not declared: {table}." in note for note in second.notes)
    third = run(inputs=[table])
    assert reused(third) == 0
    assert not any("not declared" in note for note in third.notes)
    assert not any("not declared" in note for note in bp.load(run(inputs=[place]).run_dir).notes)
