"""Going on with a run when something is not as it was."""

import importlib
import importlib.metadata
import json
import os
import subprocess
import sys

import pytest

import beampipe as bp
from beampipe.errors import ArgumentError, RunChangedError
from beampipe.execution.history import history_file
from beampipe.runs.resume import resume
from beampipe.runs.verify import verify
from beampipe.testing.tiny_files import write_tree_file

ANALYSIS = """
from pathlib import Path
from neighbour import OFFSET
CUT = 20.0

def process(events, scale=1):
    if Path("stop").exists() and "f2" in Path("stop").read_text():
        pass
    return {"n": len(events) * OFFSET * scale}

def failing(events):
    if Path(FLAG).exists() and "f3" in events.metadata["filename"]:
        raise ValueError("not yet")
    return {"n": len(events) * OFFSET, "cut": CUT}

class Analysis:
    def __init__(self, weight=2):
        self.weight = weight
    def process(self, events):
        return {"n": failing(events)["n"] * self.weight}
    def postprocess(self, output):
        return output
"""

SAME = {"client": "inline", "progress": False, "schema": "BaseSchema"}


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for number in range(4):
        write_tree_file(tmp_path / "data" / f"f{number}.root", events=100)
    (tmp_path / "analysis.py").write_text(f"FLAG = {str(tmp_path / 'flag')!r}\n{ANALYSIS}")
    (tmp_path / "neighbour.py").write_text("OFFSET = 1\n")
    (tmp_path / "flag").touch()
    yield tmp_path
    forget()


def forget():
    for name in ("analysis", "neighbour"):
        sys.modules.pop(name, None)


def begin(processor="analysis.py:failing", **options):
    """A run of which one file is still to be done."""
    if isinstance(processor, str):
        forget()
    options = {"schema": "BaseSchema", "on_error": "skip", "fresh": True} | options
    result = bp.run(processor, "data", client="inline", progress=False, **options)
    assert not result.is_complete
    return result


def go_on(result, **options):
    forget()
    return resume(result.run_dir, client="inline", progress=False, **options)


def change(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_nothing_changed_goes_on_in_another_process_and_folder(place, tmp_path_factory):
    first = begin()
    assert first.output["n"] == 300
    (place / "flag").unlink()
    change(place / "analysis.py", "CUT = 20.0", "CUT = 20.0  # the same")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "beampipe",
            "resume",
            str(first.run_dir),
            "--json",
            "--workers",
            "0",
        ],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path_factory.mktemp("elsewhere"),
        env={**os.environ, "PYTHONHASHSEED": "7"},
    )
    told = json.loads(done.stdout)
    assert told["status"] == "complete"
    assert told["accepted_changes"] == []
    assert told["datasets"]["data"]["chunks_reused"] == 3
    assert bp.load(first.run_dir).output["n"] == 400
    assert verify(first.run_dir).is_complete


CHANGES = {
    "a constant": ("analysis.py", "CUT = 20.0", "CUT = 30.0", "constant CUT: 20.0 → 30.0"),
    "a function": ("analysis.py", "* OFFSET, ", "* OFFSET + 1, ", "function failing changed"),
    "a neighbour": ("neighbour.py", "OFFSET = 1", "OFFSET = 2", "constant OFFSET: 1 → 2"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_is_named_and_has_to_be_accepted(what, place):
    name, old, new, words = CHANGES[what]
    first = begin()
    (place / "flag").unlink()
    change(place / name, old, new)
    with pytest.raises(RunChangedError) as caught:
        go_on(first)
    assert words in caught.value.why
    assert not history_file(first.run_dir).exists()
    result = go_on(first, accept_changes=True)
    assert result.is_complete
    assert any(words in text for text in result.accepted_changes)
    assert any(words in text for text in bp.load(first.run_dir).accepted_changes)
    again = bp.run(
        "analysis.py:failing", "data", client="inline", progress=False, schema="BaseSchema"
    )
    assert sum(one.chunks_reused for one in again.accounting.datasets) == 0


def test_the_code_as_it_is_now_is_what_goes_on(place):
    first = begin()
    (place / "flag").unlink()
    change(place / "analysis.py", "* OFFSET,", "* OFFSET * 10,")
    assert go_on(first, accept_changes=True).output["n"] == 300 + 1000


def test_what_was_accepted_stays_accepted_and_on_the_disk(place):
    first = begin()
    change(place / "analysis.py", "* OFFSET,", "* OFFSET * 10,")
    second = go_on(first, accept_changes=True)
    assert not second.is_complete
    (place / "flag").unlink()
    third = go_on(first)
    assert third.output["n"] == 1300
    assert third.accepted_changes == second.accepted_changes


@pytest.mark.parametrize("as_instance", [False, True])
def test_a_class_that_changed(as_instance, place):
    if as_instance:
        sys.path.insert(0, str(place))
        first = begin(importlib.import_module("analysis").Analysis(weight=3))
    else:
        first = begin("analysis.py:Analysis", params={"weight": 3})
    assert first.output["n"] == 900
    (place / "flag").unlink()
    change(place / "analysis.py", "* self.weight", "* self.weight * 2")
    with pytest.raises(RunChangedError, match=r"function Analysis\.process changed"):
        go_on(first)
    assert go_on(first, accept_changes=True).output["n"] == 900 + 600


def test_versions_and_declared_inputs(place, monkeypatch):
    table = place / "table.json"
    table.write_text("1")
    first = begin(inputs=[table])
    table.write_text("2")
    real = importlib.metadata.version
    monkeypatch.setattr(
        importlib.metadata, "version", lambda name: "0.0" if name == "uproot" else real(name)
    )
    with pytest.raises(RunChangedError) as caught:
        go_on(first)
    assert f"package uproot: {real('uproot')} → 0.0".replace("0.0 → ", "") in caught.value.why
    assert "input table.json changed" in caught.value.why
    table.unlink()
    with pytest.raises(RunChangedError, match=r"input table\.json is gone"):
        go_on(first)


def test_a_file_that_is_still_to_be_done_and_was_replaced(place):
    first = begin()
    write_tree_file(place / "data" / "f0.root", events=90)  # done already
    (place / "flag").unlink()
    assert go_on(first).is_complete
    second = begin_again(place)
    write_tree_file(place / "data" / "f3.root", events=90)
    with pytest.raises(RunChangedError, match=r"f3\.root: planned was uuid"):
        go_on(second)
    result = go_on(second, accept_changes=True)
    assert not result.is_complete
    assert [failure.code for failure in result.failures] == ["reading-file-changed"]


def begin_again(place):
    (place / "flag").touch()
    return begin()


def test_code_that_cannot_be_found_any_more_is_said(place):
    first = begin()
    (place / "flag").unlink()
    (place / "analysis.py").rename(place / "moved.py")
    result = go_on(first)
    assert result.is_complete
    assert result.output["n"] == 400
    assert any("could not be compared" in note and "analysis.py" in note for note in result.notes)


def test_a_function_of_a_notebook_is_gone_on_with_as_it_was_kept(place):
    flag = str(place / "flag")

    def process(events):
        import os.path

        if os.path.exists(flag) and "f3" in events.metadata["filename"]:  # noqa: PTH110
            raise ValueError("not yet")
        return {"n": len(events)}

    first = begin(process)
    (place / "flag").unlink()
    result = go_on(first)
    assert result.output["n"] == 400
    assert any("could not be compared" in note for note in result.notes)


def test_another_chunk_size_is_refused_with_a_reason(place):
    first = begin()
    with pytest.raises(ArgumentError, match="cannot be gone on with in chunks of 10"):
        go_on(first, chunksize=10)
    (place / "flag").unlink()
    assert go_on(first, chunksize=250_000).is_complete


def test_a_run_that_has_everything_is_not_compared(place):
    (place / "flag").unlink()
    first = bp.run(
        "analysis.py:failing", "data", client="inline", progress=False, schema="BaseSchema"
    )
    change(place / "analysis.py", "CUT = 20.0", "CUT = 30.0")
    assert go_on(first).is_complete
