from __future__ import annotations

import json
import os

import pytest
from click.testing import CliRunner

from beampipe.cli.main import cli
from beampipe.reading.index.store import IndexStore
from beampipe.testing import tiny_files

HOSTILE = "Z → µµ 'x' \"q\" [red].root"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache folder."""
    monkeypatch.setenv("BEAMPIPE_CACHE_DIR", str(tmp_path / "ca che"))
    return tmp_path / "ca che"


@pytest.fixture
def folder(tmp_path):
    tiny_files.write_tree_file(tmp_path / "dy" / "a.root", events=1000)
    tiny_files.write_tree_file(tmp_path / "dy" / HOSTILE, events=500)
    return tmp_path / "dy"


def call(command, *arguments):
    return CliRunner().invoke(cli, [command, *map(str, arguments)])


def test_files_are_indexed_once(folder):
    done = call("index", folder)
    assert done.exit_code == 0, done.output
    first, size, *_ = done.stdout.splitlines()
    assert first == "2 file(s): 2 indexed, 0 had an index, 0 cannot be used"
    assert size.startswith("indexes   ")
    assert " % of the files" in size
    again = call("index", folder)
    assert again.stdout == "2 file(s): 0 indexed, 2 had an index, 0 cannot be used\n"


def test_json(folder):
    found = json.loads(call("index", folder, "--json").stdout)
    assert (found["status"], found["files"], found["files_indexed"]) == ("complete", 2, 2)
    assert found["files_skipped"] == found["files_unusable"] == found["not_kept"] == 0
    sizes = sum(path.stat().st_size for path in folder.iterdir())
    assert found["files_bytes"] == sizes
    assert 0 < found["index_bytes"] < found["read_bytes"] < sizes
    assert found["wall_s"] > found["files_s"] > 0
    assert found["unusable"] == []
    assert json.loads(call("index", folder, "--json").stdout)["files_skipped"] == 2


def test_files_that_cannot_be_used_are_named_as_by_plan(folder):
    tiny_files.write_empty_file(folder / "empty.root")
    tiny_files.write_damaged_file(folder / "damaged.root")
    done = call("index", folder)
    assert done.exit_code == 4
    assert "4 file(s): 2 indexed, 0 had an index, 2 cannot be used" in done.stdout
    plan = call("plan", folder)
    start = "2 file(s) cannot be used:"
    assert done.stdout.partition(start)[2] == plan.stdout.partition(start)[2] != ""
    found = json.loads(call("index", folder, "--json").stdout)
    assert found["status"] == "incomplete"
    assert found["unusable"] == json.loads(call("plan", folder, "--json").stdout)["unusable"]


def test_a_file_that_can_be_counted_but_not_indexed_is_named_too(folder):
    path = folder / "a.root"
    assert call("plan", folder).exit_code == 0
    times, size = path.stat(), path.stat().st_size
    # Counts are remembered, and this has the same size and time: only opening it tells.
    tiny_files.write_tree_file(path, events=1000)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert path.stat().st_size == size
    done = call("index", folder)
    assert done.exit_code == 4, done.output
    assert "2 file(s): 1 indexed, 0 had an index, 1 cannot be used" in done.stdout
    assert "data: [reading-file-changed]" in done.stdout


def test_limits_and_trees(folder):
    assert json.loads(call("index", folder, "--json", "--maxfiles", 1).stdout)["files"] == 1
    done = call("index", folder, "--treename", "Evnts")
    assert done.exit_code == 4
    assert "dataset-tree-not-found" in done.stdout


def test_quiet_says_nothing(folder):
    done = call("index", folder, "--quiet")
    assert (done.exit_code, done.output) == (0, "")


def test_switched_off_is_an_error(folder, monkeypatch):
    monkeypatch.setenv("BEAMPIPE_INDEX_CACHE", "off")
    done = call("index", folder, "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["error"]["code"] == "run-argument"


def test_a_cache_that_cannot_be_written_is_told(folder, cache):
    assert call("plan", folder).exit_code == 0
    (cache / "metadata" / "indexes-v1").write_text("mine")
    done = call("index", folder)
    assert done.exit_code == 4
    assert "2 index(es) could not be kept" in done.stdout
    assert json.loads(call("index", folder, "--json").stdout)["not_kept"] == 2


def test_ctrl_c(folder, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("beampipe.runs.indexing.make_indexes", interrupt)
    done = call("index", folder, "--json")
    assert done.exit_code == 130
    assert json.loads(done.stdout)["status"] == "interrupted"


def test_a_fileset_that_is_not_there_is_an_error(folder):
    done = call("index", folder / "nothing" / "*.root")
    assert done.exit_code == 1
    assert "[dataset-" in done.stderr


def test_plan_says_what_indexing_would_cost(folder, cache):
    done = call("plan", folder)
    assert "indexes: 0 of 2 file(s) have one" in done.stderr
    assert "not known before a file has one" in done.stderr
    assert call("index", folder, "--maxfiles", 1).exit_code == 0
    done = call("plan", folder)
    assert "indexes: 1 of 2 file(s) have one" in done.stderr
    assert "as it was for 1 of them" in done.stderr
    found = json.loads(call("plan", folder, "--json").stdout)["indexes"]
    assert (found["files"], found["files_indexed"], found["files_missing"]) == (2, 1, 1)
    assert found["estimated_from"] == 1
    store = IndexStore(cache / "metadata" / "indexes-v1")
    size = next(store.directory.glob("??/*.index")).stat().st_size
    assert 0 < found["estimated_index_bytes"] < size
    assert found["estimated_files_s"] > 0
    assert call("index", folder).exit_code == 0
    assert "indexes: all 2 file(s) have one" in call("plan", folder).stderr


def test_plan_says_where_none_are_kept(folder, monkeypatch):
    monkeypatch.setenv("BEAMPIPE_INDEX_CACHE", "0")
    assert "`index_cache` is off" in call("plan", folder).stderr
    assert json.loads(call("plan", folder, "--json").stdout)["indexes"] is None
