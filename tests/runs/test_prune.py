"""Old runs go, and nothing else."""

import json
import os
import shutil
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner

from beampipe.cli.main import cli
from beampipe.errors import ArgumentError, BeampipeError, RunHeldError
from beampipe.execution.run_directory import create_run_directory
from beampipe.runs import prune
from beampipe.runs.prune import choose_runs, parse_age, remove_leftovers, remove_run


@pytest.fixture
def root(tmp_path):
    """Four runs, the first of which is the oldest, and things that are none."""
    root = tmp_path / "runs µ"
    for number in range(4):
        run = {"run_id": f"id{number}", "name": "x", "created": "2026-01-01T00:00:00+00:00"}
        path = root / f"run {number}"
        create_run_directory(path, run=run, plan={}, processor=b"")
        age(path, days=10 - number)
    (root / "folder").mkdir()
    (root / "folder" / "precious").write_text("x")
    (root / "file").write_text("x")
    (root / "other").mkdir()
    (root / "other" / "run.json").write_text('{"format": "something else"}')
    (tmp_path / "elsewhere").mkdir()
    shutil.copytree(root / "run 0", tmp_path / "elsewhere" / "run")
    (root / "a link").symlink_to(tmp_path / "elsewhere" / "run")
    return root


def age(path, *, days):
    then = time.time() - days * 86400
    for place in (*path.iterdir(), path):
        os.utime(place, (then, then))


def names(root):
    return sorted(path.name for path in root.iterdir())


def hold(path):
    lease = {"host": "elsewhere", "pid": 1, "driver": "somebody", "time": time.time()}
    (path / "lease.json").write_text(json.dumps(lease))


def call(*arguments, **options):
    return CliRunner().invoke(cli, ["runs", *map(str, arguments)], **options)


def chosen(root, **limits):
    return [run.path.name for run in choose_runs(root, **limits)]


def test_runs_are_chosen_by_number_and_age(root):
    assert chosen(root, keep=2) == ["run 0", "run 1"]
    assert chosen(root, keep=9) == []
    assert chosen(root, older_than_s=parse_age("8.5d")) == ["run 0", "run 1"]
    assert chosen(root, keep=3, older_than_s=parse_age("1w")) == ["run 0"]
    assert chosen(root, keep=0, older_than_s=parse_age("30d")) == []
    with pytest.raises(ArgumentError, match="Which runs"):
        chosen(root)
    with pytest.raises(ArgumentError, match="no age"):
        parse_age("soon")


def test_only_runs_go(root, tmp_path):
    before = names(root)
    for path in choose_runs(root, keep=0):
        remove_run(path.path)
    assert names(root) == [name for name in before if not name.startswith("run ")]
    assert (tmp_path / "elsewhere" / "run" / "run.json").exists()
    for other in ("folder", "other", "missing"):
        with pytest.raises(BeampipeError):
            remove_run(root / other)
    assert (root / "folder" / "precious").exists()


def test_a_run_that_is_under_way_stays(root):
    hold(root / "run 1")
    assert chosen(root, keep=0) == ["run 0", "run 2", "run 3"]
    with pytest.raises(RunHeldError):
        remove_run(root / "run 1")
    assert (root / "run 1" / "plan.json").exists()


def test_a_run_that_is_taken_up_while_the_user_is_asked_stays(root, monkeypatch):
    real = prune.choose_runs

    def choose(*args, **options):
        found = real(*args, **options)
        hold(root / "run 0")
        return found

    monkeypatch.setattr(prune, "choose_runs", choose)
    result = call(root, "--prune", "--keep", 2, "--yes")
    assert result.exit_code == 1
    assert (root / "run 0" / "plan.json").exists()
    assert not (root / "run 1").exists()


def test_a_kill_at_any_moment_leaves_whole_runs_or_what_is_swept_up_later(root):
    program = """
import os, pathlib, shutil, sys
from beampipe.runs.prune import remove_run
left = int(sys.argv[2])
def count(event, arguments):
    global left
    if event in {"os.rename", "os.remove", "os.rmdir", "shutil.rmtree", "open"}:
        if any(sys.argv[1] in str(one) or ".pruned-" in str(one) for one in arguments):
            left -= 1
            if left < 0:
                os._exit(9)
sys.addaudithook(count)
remove_run(pathlib.Path(sys.argv[1]))
"""
    spare = root.parent / "spare"
    shutil.copytree(root / "run 0", spare)
    for moment in range(0, 60, 5):
        target = root / "run 0"
        if not target.exists():
            shutil.copytree(spare, target)
        command = [sys.executable, "-c", program, str(target), str(moment)]
        code = subprocess.run(command, check=False).returncode
        assert code in {0, 9}
        if target.exists():
            for name in ("run.json", "plan.json", "processor.pkl", "segments", "claims"):
                assert (target / name).exists()
        remove_leftovers(root)
        assert not any(name.startswith(".") for name in names(root))
        if code == 0:
            break
    assert code == 0


def test_at_the_command_line_it_asks(root):
    before = names(root)
    shown = call(root, "--prune", "--keep", 2, "--dry-run")
    assert shown.exit_code == 0
    assert "run 0" in shown.output
    assert "Would remove 2 runs" in shown.output
    assert call(root, "--prune", "--keep", 2, input="n\n").exit_code == 1
    assert names(root) == before
    done = call(root, "--prune", "--keep", 2, input="y\n")
    assert done.exit_code == 0
    assert "Removed 2 of 2 runs" in done.output
    assert not {"run 0", "run 1"} & set(names(root))
    told = json.loads(call(root, "--prune", "--keep", 1, "--yes", "--json").stdout)
    assert [name.rpartition("/")[2] for name in told["removed"]] == ["run 2"]
    assert "nothing to remove" in call(root, "--prune", "--keep", 1).output
    assert call(root, "--keep", 1).exit_code == 2
    assert call(root, "--prune").exit_code == 1
