from __future__ import annotations

from pathlib import Path

import pytest
from tests.cli.hand_made_run import call

from beampipe.cli.try_ import spell_bytes
from beampipe.testing import tiny_files


def try_(processor, *more):
    return call("try", f"my analysis.py:{processor}", *more, "--schema", "none")


def test_one_chunk_and_what_the_whole_would_take(workplace):
    done = try_("spectrum", "data", "--chunksize", "100")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0].startswith("file      ")
    assert lines[0].endswith("data/a b.root, entries 0 to 100")
    assert "            x" in lines
    assert any('output["muons"]["x"]' in line and "Hist" in line for line in lines)
    assert any('output["n"]' in line and "100" in line for line in lines)
    assert lines[-1].startswith("all       1000 events in 10 chunks")
    assert "on 100 workers" in lines[-1]


def test_nothing_is_written(workplace):
    before = sorted(workplace.rglob("*"))
    try_("spectrum", "data")
    assert [
        path for path in sorted(workplace.rglob("*")) if "__pycache__" not in str(path)
    ] == before


def test_files_that_cannot_be_used_are_said(workplace):
    tiny_files.write_empty_file("data/z.root")
    done = try_("spectrum", "data")
    assert done.exit_code == 0
    assert "unusable  " in done.stdout
    assert "z.root is empty." in done.stdout


def test_a_chunk_without_events_is_passed_over(workplace):
    # One cluster of 1000 events and chunks of 400: all borders but the last fall on 0 or 1000.
    done = try_("spectrum", "big.root", "--chunksize", "400")
    assert done.exit_code == 0, done.output
    assert "entries 0 to 1000" in done.stdout


def test_a_bug_is_shown_with_the_users_lines_only(workplace):
    Path("my analysis.py").write_text("def f(events):\n    return {'n': 1 / 0}\n")
    done = try_("f", "data")
    assert done.exit_code == 1
    assert "return {'n': 1 / 0}" in done.stderr
    assert "[processor-failed] The processor raised ZeroDivisionError." in done.stderr
    assert "src/beampipe" not in done.stderr


def test_a_missing_column_gets_the_closest_name_and_the_line(workplace):
    done = try_("misspelt", "data")
    assert done.exit_code == 1
    assert "[reading-column-not-found]" in done.stderr
    assert "did you mean 'x'?" in done.stderr
    assert "np.sum(events.xx)" in done.stderr


def test_the_debugger_is_entered_where_it_is_raised(workplace, monkeypatch):
    names = []
    monkeypatch.setattr("pdb.post_mortem", lambda tail: names.append(tail.tb_frame.f_code.co_name))
    Path("my analysis.py").write_text("def f(events):\n    return {'n': 1 / 0}\n")
    assert try_("f", "data", "--pdb").exit_code == 1
    assert names == ["f"]


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1500, "1.5 kB"),
        (2.5e6, "2.5 MB"),
        (3e9, "3.0 GB"),
        (4e12, "4.0 TB"),
    ],
)
def test_bytes_for_people(number, text):
    assert spell_bytes(number) == text
