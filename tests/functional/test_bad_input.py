"""What bad input gets: a code, a reason, a remedy, no traceback, and nothing lost.

Every case goes through the command line with ``--json`` (standard output is then one JSON object,
whatever happens) and through `beampipe.run`.
"""

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from click.testing import CliRunner

import beampipe as bp
from beampipe.cli.main import cli
from beampipe.runs.arguments import FOREIGN
from beampipe.testing import tiny_files

HOSTILE = "Z → µµ 'x' \"q\" [1]"
EVENTS = 1000

PROCESSORS = """
import threading

import hist
import numpy as np

lock = threading.Lock()
a_number = 3


def count(events):
    return {"n": len(events)}


def misspelt(events):
    return {"n": float(np.sum(events.xx))}


def returns_nothing(events):
    {"n": len(events)}


def not_addable(events):
    return {"muons": {"pt": object()}}


def differs_by_chunk(events):
    return {"n": 1 if events.metadata["entrystart"] == 0 else hist.Hist.new.Reg(2, 0, 1).Double()}


def differs_by_dataset(events):
    return {"n": 1 if events.metadata["dataset"] == "A" else {"deep": 1}}


def locked(events):
    with lock:
        return {"n": len(events)}


def fails_late(events):
    if events.metadata["entrystart"] >= 600:
        raise ValueError("the trigger table ends at 600")
    return {"n": len(events)}


class Analysis:
    def __init__(self, era="2018"):
        self.era = era

    def process(self, events):
        return {"n": len(events)}

    def postprocess(self, output):
        return output
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory with everything that can be wrong with a fileset or a processor."""
    folder = tmp_path / HOSTILE
    folder.mkdir()
    monkeypatch.chdir(folder)
    (folder / "nothing here").mkdir()
    tiny_files.write_tree_file("good.root", events=EVENTS)
    tiny_files.write_tree_file("other.root", events=EVENTS // 2)
    tiny_files.write_text_file("login page.root")
    tiny_files.write_truncated_file("cut.root", events=50_000)
    tiny_files.write_empty_file("zero bytes.root")
    tiny_files.write_trees_file("two trees.root", {"signal": 3, "background": 4})
    tiny_files.write_trees_file("no tree.root", {})
    tiny_files.write_tree_file("no events.root", events=0)
    Path("A and B.toml").write_text("A = 'good.root'\nB = 'other.root'\n")
    Path("broken.toml").write_text("A = 'good.root'\nB = [\n")
    Path("broken.json").write_text('{"A": "good.root",\n "B": }\n')
    Path("broken.yaml").write_text("A: good.root\nB: [x\nC: {\n")
    Path("nobody.toml").write_text("")
    Path("analysis.py").write_text(PROCESSORS)
    Path("syntax.py").write_text("def count(events:\n    return 1\n")
    Path("needs.py").write_text("import no_such_module_é\n")
    return folder


@dataclass(frozen=True)
class Case:
    """A mistake, and what must be said of it."""

    name: str
    code: str
    words: tuple[str, ...]
    processor: str = "analysis.py:count"
    fileset: tuple[str, ...] = ("good.root",)
    options: dict[str, object] = field(default_factory=dict)

    def __str__(self):
        return self.name

    def as_options(self):
        for name, value in self.options.items():
            if name == "params":
                yield from (f"--param={key}={item}" for key, item in value.items())
            else:
                yield f"--{name.replace('_', '-')}={value}"


NOT_BEGUN = [
    Case(
        "a missing file",
        "dataset-file-missing",
        ("did you mean 'good.root'", "correct the path"),
        fileset=("goood.root",),
    ),
    Case("an empty glob", "dataset-no-files", ("no*.ntuple", "pattern"), fileset=("no*.ntuple",)),
    Case(
        "a directory without ROOT files",
        "dataset-no-files",
        ("nothing here", "ends in .root", "is empty"),
        fileset=("nothing here",),
    ),
    Case(
        "not a ROOT file",
        "dataset-not-root",
        ("login page.root", "HTML", "fetch it again"),
        fileset=("login page.root",),
    ),
    Case("truncated", "dataset-file-truncated", ("header says", "copy"), fileset=("cut.root",)),
    Case("zero bytes", "dataset-file-empty", ("zero bytes",), fileset=("zero bytes.root",)),
    Case(
        "a tree that is not there",
        "dataset-tree-not-found",
        ("'signal', 'background'", "did you mean 'signal'?"),
        fileset=("two trees.root",),
        options={"treename": "signals"},
    ),
    Case("no tree", "dataset-tree-not-found", ("'histogram'",), fileset=("no tree.root",)),
    Case(
        "two trees and no name",
        "dataset-tree-ambiguous",
        ("'signal', 'background'", "--treename 'signal'"),
        fileset=("two trees.root",),
    ),
    Case("no events", "dataset-no-events", ("Events",), fileset=("no events.root",)),
    Case("TOML", "dataset-fileset-file", ("line 3, column 1",), fileset=("broken.toml",)),
    Case("JSON", "dataset-fileset-file", ("line 2, column 7",), fileset=("broken.json",)),
    Case("YAML", "dataset-fileset-file", ("line 3, column 2",), fileset=("broken.yaml",)),
    Case("an empty fileset", "dataset-fileset-form", ("nobody",), fileset=("nobody.toml",)),
    Case(
        "a bad file among good ones",
        "dataset-file-empty",
        ("2 more files cannot be used", "--on-error skip"),
        fileset=("good.root", "zero bytes.root", "cut.root", "login page.root"),
    ),
    Case("syntax", "processor-load", ("SyntaxError", "line 1"), processor="syntax.py:count"),
    Case(
        "an import that fails",
        "processor-load",
        ("No module named 'no_such_module_é'", "needs.py, line 1", "python "),
        processor="needs.py:count",
    ),
    Case("no such processor file", "processor-load", ("no such file",), processor="gone.py:count"),
    Case("no such module", "processor-load", ("FILE.py:NAME",), processor="no_such_module:count"),
    Case(
        "a name that is not there",
        "processor-name",
        ("it has count, ", "write analysis.py:count"),
        processor="analysis.py:cuont",
    ),
    Case("no name", "processor-name", ("count, ", "analysis.py:count"), processor="analysis.py"),
    Case(
        "a number",
        "processor-kind",
        ("analysis.py:a_number", "int"),
        processor="analysis.py:a_number",
    ),
    Case(
        "not to be pickled",
        "processor-pickle",
        ("'_thread.lock'", "'lock' in analysis", "inside the function"),
        processor="analysis.py:locked",
    ),
    Case(
        "a misspelt parameter",
        "processor-params",
        ("did you mean 'era'?",),
        processor="analysis.py:Analysis",
        options={"params": {"eras": "2017"}},
    ),
    Case(
        "an unknown schema",
        "reading-schema",
        ("did you mean NanoAODSchema",),
        options={"schema": "NanoADSchema"},
    ),
]

ENDED_EARLY = [
    Case(
        "a column that is not there",
        "run-stopped",
        (
            "ColumnNotFoundError",
            "no column 'xx'",
            "did you mean 'x'?",
            "analysis.py, line ",
            "in misspelt",
        ),
        processor="analysis.py:misspelt",
    ),
    Case(
        "a processor that returns None",
        "run-stopped",
        ("returned None", "end it with `return`"),
        processor="analysis.py:returns_nothing",
    ),
    Case(
        "a value that cannot be added",
        "run-stopped",
        ('output["muons"]["pt"]', "object"),
        processor="analysis.py:not_addable",
    ),
    Case(
        "chunks that cannot be added",
        "output-not-addable",
        ('output["n"]', "int", "Hist", "for every chunk"),
        processor="analysis.py:differs_by_chunk",
        options={"chunksize": 200},
    ),
    Case(
        "datasets that cannot be added",
        "output-not-addable",
        ('output["n"]', "int", "dict", "dataset 'B'", "by_dataset"),
        processor="analysis.py:differs_by_dataset",
        fileset=("A and B.toml",),
    ),
    Case(
        "a bug",
        "run-stopped",
        ("ValueError: the trigger table ends at 600", "in fails_late", "--on-error skip"),
        processor="analysis.py:fails_late",
        options={"chunksize": 200},
    ),
    Case(
        "a schema that does not fit",
        "run-stopped",
        ("NanoAODSchema does not fit", "'none'"),
        options={"schema": "NanoAODSchema"},
    ),
]


def call(*arguments):
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def run_case(case, *more):
    plain = () if "schema" in case.options else ("--schema=none",)
    options = (*case.as_options(), *plain, "--workers=0", "--json", "--quiet")
    return call("run", case.processor, *case.fileset, *options, *more)


def run_case_in_python(case):
    fileset = case.fileset[0] if len(case.fileset) == 1 else list(case.fileset)
    options = {"schema": None} | case.options
    with pytest.raises(bp.BeampipeError) as caught:
        bp.run(case.processor, fileset, client="inline", progress=False, **options)
    return caught.value


def list_folder(folder="."):
    return sorted(path.name for path in Path(folder).iterdir() if path.name != "__pycache__")


def check_told(done, code, words=(), *, exit_code=1):
    """The exit code, the words on standard error, and the one object on standard output."""
    assert done.exit_code == exit_code, done.output
    assert f"[{code}] " in done.stderr
    assert re.search(r"^  why: \S", done.stderr, re.MULTILINE), "why?"
    assert re.search(r"^  fix: \S", done.stderr, re.MULTILINE), "what to do?"
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr
    told = json.loads(done.stdout)
    assert done.stdout.count("\n") == 1
    assert told["status"] == ("interrupted" if exit_code == 130 else "failed")
    assert told["error"]["code"] == code
    return told


@pytest.mark.parametrize("case", NOT_BEGUN, ids=str)
def test_what_cannot_begin_says_why_and_leaves_nothing_behind(folder, case):
    before = list_folder()
    told = check_told(run_case(case), case.code, case.words)
    assert told["run_dir"] is None
    error = run_case_in_python(case)
    assert error.code == case.code
    assert error.why
    assert error.fix
    assert list_folder() == before


@pytest.mark.parametrize("case", ENDED_EARLY, ids=str)
def test_what_ends_early_says_why_and_keeps_what_was_done(folder, case):
    told = check_told(run_case(case), case.code, case.words)
    assert bp.verify(told["run_dir"]).is_proved
    for command in ("show", "report"):
        shown = call(command, told["run_dir"])
        assert shown.exit_code == 0, shown.output
        assert "FAILED" in shown.output
    error = run_case_in_python(case)
    assert error.code == case.code
    assert bp.verify(error.run_dir).is_proved
    assert bp.load(error.run_dir).status == "failed"


def test_what_was_done_before_a_bug_is_committed(folder):
    (case,) = (case for case in ENDED_EARLY if case.name == "a bug")
    told = json.loads(run_case(case).stdout)
    assert told["datasets"]["data"]["events_processed"] == 600
    assert told["datasets"]["data"]["events_failed"] == 400
    assert bp.load(told["run_dir"]).output == {"n": 600}
    shown = call("show", told["run_dir"], "--failures")
    assert "ValueError: the trigger table ends at 600" in shown.stdout
    reproduced = call("reproduce", told["run_dir"])
    assert reproduced.exit_code == 1
    assert "[processor-failed]" in reproduced.stderr
    assert 'raise ValueError("the trigger table' in reproduced.stderr


def test_sums_of_datasets_that_cannot_be_added_are_kept_each_by_itself(folder):
    (case,) = (case for case in ENDED_EARLY if case.name == "datasets that cannot be added")
    result = bp.load(json.loads(run_case(case).stdout)["run_dir"])
    assert result.output is None
    assert result.by_dataset == {"A": {"n": 1}, "B": {"n": {"deep": 1}}}


def test_chunks_smaller_than_clusters_give_no_processor_an_empty_array(folder):
    """Their borders fall together, and few processors bear arrays of length zero."""
    Path("first.py").write_text(
        "def first(events):\n    return {'n': len(events), 'first': float(events.x[0])}\n"
    )
    case = Case("", "", (), processor="first.py:first", options={"chunksize": 300})
    done = run_case(case, "--checkpoint=0.0001")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["datasets"]["data"]["chunks_processed"] == 4
    assert bp.load(told["run_dir"]).output == {"n": EVENTS, "first": 0.0}
    assert bp.verify(told["run_dir"]).is_complete


# -- going on past what is bad ------------------------------------------------------------------


def test_skipped_files_are_a_hole_that_is_named_and_proved(folder):
    bad = ("zero bytes.root", "cut.root", "login page.root", "two trees.root", "gone.root")
    done = run_case(Case("", "", (), fileset=("good.root", *bad)), "--on-error=skip")
    assert done.exit_code == 4, done.output
    told = json.loads(done.stdout)
    assert told["status"] == "incomplete"
    counts = told["datasets"]["data"]
    assert (counts["files"], counts["files_uncounted"]) == (6, 5)
    assert counts["events_processed"] == counts["events_planned"] == EVENTS
    assert [failure["code"] for failure in told["failures"]] == [
        "dataset-file-empty",
        "dataset-file-truncated",
        "dataset-not-root",
        "dataset-tree-ambiguous",
        "dataset-file-missing",
    ]
    assert all(failure["why"] and failure["fix"] for failure in told["failures"])
    proof = json.loads(call("verify", told["run_dir"], "--json").stdout)
    assert (proof["proved"], proof["complete"]) == (True, False)
    assert bp.load(told["run_dir"]).output == {"n": EVENTS}


def test_skipped_chunks_are_a_hole_that_is_named_and_proved(folder):
    (case,) = (case for case in ENDED_EARLY if case.name == "a bug")
    done = run_case(case, "--on-error=skip")
    assert done.exit_code == 4, done.output
    assert done.stderr == ""
    told = json.loads(done.stdout)
    counts = told["datasets"]["data"]
    assert counts["events_processed"] == 600
    assert counts["events_failed"] == 400
    assert counts["events_not_reached"] == 0
    assert {failure["code"] for failure in told["failures"]} == {"processor-failed"}
    proof = json.loads(call("verify", told["run_dir"], "--json").stdout)
    assert (proof["proved"], proof["complete"]) == (True, False)
    for command in (("show",), ("report",), ("export", "--format=json")):
        assert "INCOMPLETE" in call(command[0], told["run_dir"], *command[1:]).output


def test_nothing_but_bad_files_is_an_empty_result_and_no_success(folder):
    done = run_case(Case("", "", (), fileset=("zero bytes.root",)), "--on-error=skip")
    assert done.exit_code == 4
    told = json.loads(done.stdout)
    assert told["status"] == "incomplete"
    assert bp.load(told["run_dir"]).output is None
    assert "INCOMPLETE" in call("show", told["run_dir"]).stdout


# -- run directories ----------------------------------------------------------------------------


def test_a_run_directory_that_is_there_is_not_touched(folder):
    first = json.loads(run_case(Case("", "", ()), "--run-dir", f"my {HOSTILE}").stdout)
    before = {path: path.stat().st_mtime_ns for path in Path(first["run_dir"]).rglob("*")}
    done = run_case(
        Case("", "", (), processor="analysis.py:Analysis"), "--run-dir", f"my {HOSTILE}"
    )
    told = check_told(done, "run-directory-exists", ("it holds a run", "beampipe resume '"))
    assert told["run_dir"] is None
    assert {path: path.stat().st_mtime_ns for path in Path(first["run_dir"]).rglob("*")} == before


def test_a_run_directory_that_is_something_else_is_not_touched(folder):
    done = run_case(Case("", "", ()), "--run-dir", folder)
    check_told(done, "run-directory-exists", ("it holds something else", "empty directory"))
    done = run_case(Case("", "", ()), "--run-dir", folder / "good.root")
    check_told(done, "run-directory-exists", ("it holds something else",))
    done = run_case(Case("", "", ()), "--run-dir", folder / "good.root" / "run")
    check_told(done, "run-storage", ("a file is in the way",))


@pytest.mark.parametrize(
    "command",
    ["show", "report", "plot", "export --format=root", "verify", "resume", "reproduce"],
)
@pytest.mark.parametrize("name", ["nothing here", "good.root", "no\nsuch 'run'", "latest"])
def test_what_is_no_run_is_said_by_every_command(folder, command, name):
    command, *options = command.split()
    done = call(command, name, *options)
    assert done.exit_code == 1
    assert "[run-not-found]" in done.stderr
    assert "Traceback" not in done.output
    assert done.stdout == ""


def test_a_run_with_a_typo_gets_the_closest_name(folder):
    told = json.loads(run_case(Case("", "", ())).stdout)
    name = Path(told["run_dir"]).name
    done = call("show", name[:-1], "--json")
    check_told(done, "run-not-found", (f"did you mean {name}",))


# -- arguments ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--workers=-1"], "-1 is not in the range"),
        (["--chunksize=0"], "0 is not in the range"),
        (["--maxchunks=0"], "0 is not in the range"),
        (["--checkpoint=0"], "0"),
        (["--on-error=ignore"], "'stop', 'skip'"),
        (["--param=era"], "is not key=value"),
        (["--params=era=1"], "--param"),
        (["--skipbadfiles"], "--on-error skip"),
        (["--maxworkers=3"], "--workers"),
        (["--savemetrics"], "metrics are always kept"),
    ],
    ids=str,
)
def test_wrong_usage_exits_with_2_and_says_what_is_right(folder, options, words):
    done = call("run", "analysis.py:count", "good.root", *options, "--json")
    assert done.exit_code == 2
    assert words in done.stderr
    assert "Usage:" in done.stderr
    told = json.loads(done.stdout)
    assert told["status"] == "failed"
    assert told["error"]["code"] == "usage"
    assert words in told["error"]["message"]


@pytest.mark.parametrize("name", FOREIGN)
def test_arguments_of_coffea_are_translated(name):
    with pytest.raises(bp.BeampipeError, match="run-argument") as caught:
        bp.run(None, None, **{name: True})
    assert caught.value.fix == FOREIGN[name]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"workers": -1}, "workers"),
        ({"chunksize": 0}, "chunksize"),
        ({"maxchunks": 0}, "maxchunks"),
        ({"maxevents": -5}, "maxevents"),
        ({"checkpoint": 0}, "checkpoint"),
        ({"on_error": "ignore"}, "stop, skip"),
        ({"chunk_size": 3}, "did you mean 'chunksize'"),
        ({"client": "dask"}, "inline"),
        ({"client": 3}, "distributed.Client"),
        ({"params": {"eras": 1}}, "signature"),
    ],
    ids=str,
)
def test_arguments_that_make_no_sense(folder, options, words):
    with pytest.raises(bp.BeampipeError, match=words) as caught:
        bp.run("analysis.py:count", "good.root", progress=False, **options)
    assert caught.value.why
    assert caught.value.fix
    assert not Path("beampipe-runs").exists()


# -- disks --------------------------------------------------------------------------------------

WIDE = """
import time

import numpy as np


def wide(events):
    time.sleep(0.05)
    # Each file has its own array: 2.4 MB in all, however many commits it comes in.
    return {"n": len(events), "values": {events.metadata["filename"]: np.ones(30_000)}}
"""


def run_program(*words):
    return subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def small_disk(tmp_path):
    """A real file system of 1 MB."""
    if os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("only root can mount a small disk")
    place = tmp_path / f"disk {HOSTILE}"
    place.mkdir()
    done = run_program("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place)
    if done.returncode != 0:
        assert os.environ.get("CI") != "true", f"CI must be able to mount: {done.stderr}"
        pytest.skip(f"nothing can be mounted here: {done.stderr}")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def fill(disk):
    with contextlib.suppress(OSError), (disk / "filler").open("wb", 0) as file:
        while True:
            file.write(b"\0" * 4096)
    assert shutil.disk_usage(disk).free == 0


def test_a_disk_that_is_full_at_the_start(folder, small_disk, monkeypatch):
    fill(small_disk)
    done = run_case(Case("", "", ()), "--run-dir", small_disk / "run")
    check_told(done, "run-storage", ("the disk is full", "free some space"))
    assert not (small_disk / "run").exists()
    monkeypatch.setenv("BEAMPIPE_RUN_ROOT", str(small_disk))
    check_told(run_case(Case("", "", ())), "run-storage", ("the disk is full",))
    assert list_folder(small_disk) == ["filler"], "an empty directory was left behind"


def test_a_full_disk_under_the_cache_costs_nothing_but_time(folder, small_disk, monkeypatch):
    fill(small_disk)
    monkeypatch.setenv("XDG_CACHE_HOME", str(small_disk / "cache"))
    done = run_case(Case("", "", ()))
    assert done.exit_code == 0, done.output


def test_a_disk_that_fills_up_in_the_middle_keeps_what_is_committed(folder, small_disk):
    Path("wide.py").write_text(WIDE)
    run_dir = small_disk / f"run {HOSTILE}"
    for number in range(10):
        tiny_files.write_tree_file(f"many/{number}.root", events=100)
    many = Case("", "", (), processor="wide.py:wide", fileset=("many",))
    told = check_told(
        run_case(many, "--run-dir", run_dir, "--checkpoint=0.01"),
        "run-storage",
        ("the disk is full", "What was done is kept"),
    )
    done = told["datasets"]["data"]["events_processed"]
    assert 0 < done < EVENTS
    assert told["run_dir"] == str(run_dir)
    proof = bp.verify(run_dir)
    assert proof.is_proved
    assert not proof.is_complete
    assert bp.load(run_dir).output["n"] == done
    assert call("show", run_dir).exit_code == 0

    subprocess.run(["mount", "-o", "remount,size=20m", small_disk], check=True)
    resumed = call("resume", run_dir, "--workers=0", "--json", "--quiet")
    assert resumed.exit_code == 0, resumed.output
    result = bp.load(run_dir)
    assert result.output["n"] == EVENTS
    assert sum(values.sum() for values in result.output["values"].values()) == 300_000
    assert bp.verify(run_dir).is_complete


FILLS = """
import contextlib
import pathlib


def fills(events):
    if "7.root" in events.metadata["filename"]:
        with contextlib.suppress(OSError), pathlib.Path(DISK, "filler").open("wb", 0) as file:
            while True:
                file.write(bytes(4096))
    return {"n": len(events)}
"""


def test_a_disk_that_others_fill_to_the_last_byte(folder, small_disk):
    """Not even the outcome can be written, and that is not what is told."""
    Path("fills.py").write_text(f"DISK = {str(small_disk)!r}\n{FILLS}")
    for number in range(10):
        tiny_files.write_tree_file(f"many/{number}.root", events=100)
    many = Case("", "", (), processor="fills.py:fills", fileset=("many",))
    run_dir = small_disk / "run"
    told = check_told(
        run_case(many, "--run-dir", run_dir, "--checkpoint=0.0001"),
        "run-storage",
        ("the disk is full", f"{run_dir}/segments/", "What was done is kept"),
    )
    assert not (run_dir / "outcome.json").exists()
    assert told["run_dir"] == str(run_dir)
    assert 0 < told["datasets"]["data"]["events_processed"] < EVENTS
    assert bp.verify(run_dir).is_proved
    assert bp.load(run_dir).status == "interrupted"
    (small_disk / "filler").unlink()
    Path("fills.py").unlink()
    resumed = call("resume", run_dir, "--workers=0", "--quiet")
    # The processor was kept with the run, so the disk is full again.
    assert resumed.exit_code == 1
    assert bp.verify(run_dir).is_proved


def test_a_read_only_disk(folder, small_disk):
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    done = run_case(Case("", "", ()), "--run-dir", small_disk / "new" / "run")
    check_told(done, "run-storage", ("the file system is read-only", "another --run-dir"))


def test_a_run_on_a_disk_that_became_read_only_can_be_looked_at(folder, small_disk, tmp_path):
    run_dir = small_disk / "run"
    case = next(case for case in ENDED_EARLY if case.name == "a bug")
    run_case(case, "--run-dir", run_dir)
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    for command in (["show"], ["show", "--json"], ["verify"], ["report", "-o", tmp_path / "page"]):
        done = call(command[0], run_dir, *command[1:])
        assert done.exit_code == 0, done.output
    for command in (["report"], ["export", "--format=json"]):
        done = call(command[0], run_dir, *command[1:])
        assert done.exit_code == 1, done.output
        assert "ead-only" in done.stderr
        assert "fix: " in done.stderr
    done = call("resume", run_dir, "--workers=0", "--json", "--quiet")
    check_told(done, "run-storage", ("read-only",))


def run_as_stranger(*words):
    """Run Beampipe without the right to read and write what belongs to others, also as root."""
    drop = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"]
    return run_program(*drop * (os.geteuid() == 0), sys.executable, "-m", "beampipe", *words)


def give_away(path, mode):
    path.chmod(mode)
    if os.geteuid() == 0:
        os.chown(path, 65534, 65534)


def test_a_folder_that_belongs_to_somebody_else(folder):
    theirs = folder / "theirs"
    theirs.mkdir()
    give_away(theirs, 0o555)
    options = ["--workers=0", "--schema=none", "--json", "--quiet", "--run-dir", theirs / "run"]
    done = run_as_stranger("run", "analysis.py:count", "good.root", *options)
    assert done.returncode == 1, done.stderr
    assert "[run-storage]" in done.stderr
    assert "why: permission denied" in done.stderr
    assert "use a --run-dir that is yours" in done.stderr
    assert "Traceback" not in done.stderr
    assert json.loads(done.stdout)["error"]["code"] == "run-storage"


def test_a_file_that_may_not_be_read(folder):
    give_away(tiny_files.write_tree_file("secret.root"), 0)
    done = run_as_stranger("plan", "secret.root", "--json")
    assert done.returncode == 4, done.stderr
    (told,) = json.loads(done.stdout)["unusable"]
    assert told["code"] == "dataset-file-access"
    assert told["why"]
    assert told["fix"]


# -- Ctrl-C -------------------------------------------------------------------------------------

SLOW = """
import time


def slow(events):
    time.sleep(0.1)
    return {"n": len(events)}
"""


@pytest.mark.parametrize("workers", [0, 1])
def test_ctrl_c_keeps_what_was_done_and_says_how_to_go_on(folder, workers):
    Path("slow.py").write_text(SLOW)
    for number in range(20):
        tiny_files.write_tree_file(f"many/{number}.root", events=50)
    run_dir = folder / "an interrupted run"
    program = [sys.executable, "-m", "beampipe", "run", "slow.py:slow", "many"]
    options = [f"--workers={workers}", "--schema=none", "--json", "--checkpoint=0.2"]
    with subprocess.Popen(
        [*program, *options, "--run-dir", run_dir],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        deadline = time.monotonic() + 120
        while not list(run_dir.glob("segments/*.zip")):
            assert time.monotonic() < deadline
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGINT)  # as the terminal does: workers get it too
        stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 130, stderr
    assert "[run-interrupted]" in stderr
    assert f"`beampipe resume {shlex.quote(str(run_dir))}` goes on with it" in stderr
    assert "Traceback" not in stderr
    told = json.loads(stdout)
    assert told["status"] == "interrupted"
    assert 0 < told["datasets"]["data"]["events_processed"] < EVENTS
    assert bp.verify(run_dir).is_proved
    resumed = call("resume", run_dir, "--workers=0", "--json", "--quiet")
    assert resumed.exit_code == 0, resumed.output
    counts = json.loads(resumed.stdout)["datasets"]["data"]
    assert counts["events_processed"] == EVENTS
    assert counts["chunks_reused"] * 50 == told["datasets"]["data"]["events_processed"]
    assert bp.load(run_dir).output == {"n": EVENTS}


# -- names --------------------------------------------------------------------------------------

NAMED = """
import hist


def mässe(events):
    if events.metadata["dataset"].startswith("2") and fails(events):
        raise RuntimeError("not 'today' µ")
    name = "Z → µµ 'x' \\"q\\" [1] / <b>"
    return {name: hist.Hist.new.Reg(10, 0, 1000, name="x", label=name).Int64().fill(events.x)}


def fails(events):
    import pathlib

    return pathlib.Path("bad day").exists()
"""


def test_every_name_may_hold_anything(folder):
    """Folder, files, datasets, tree, processor file, histogram, run directory; all commands."""
    tree, name = "Événts 'µ' \"q\"", f"2 {HOSTILE} <b>&amp;"
    tiny_files.write_tree_file(f"dátà {HOSTILE}/a: b #1?.root", events=300, treename=tree)
    tiny_files.write_tree_file(f"dátà {HOSTILE}/c; $(d) %20.root", events=200, treename=tree)
    fileset = {
        "1": {"files": [f"dátà {HOSTILE}/c*.root"], "metadata": {"title": HOSTILE}},
        name: {"files": [f"dátà {HOSTILE}"]},
    }
    Path(f"fílès {HOSTILE}.json").write_text(json.dumps(fileset))
    Path(f"ana lysis {HOSTILE}: x.py").write_text(NAMED)
    Path("bad day").touch()
    run_dir = folder / f"rún {HOSTILE}; $(x)"
    done = call(
        *("run", f"ana lysis {HOSTILE}: x.py:mässe", f"fílès {HOSTILE}.json"),
        *("--treename", tree, "--schema=none", "--workers=0", "--on-error=skip"),
        *("--run-dir", run_dir, "--name", f"nàme {HOSTILE}", "--json"),
    )
    assert done.exit_code == 4, done.output
    told = json.loads(done.stdout)
    assert told["run_dir"] == str(run_dir)
    assert told["datasets"][name]["events_failed"] == 500
    assert told["datasets"]["1"]["events_processed"] == 200

    shown = call("show", run_dir, "--failures")
    assert "not 'today' µ" in shown.stdout
    assert "a: b #1?.root" in shown.stdout
    reproduced = call("reproduce", run_dir)
    assert reproduced.exit_code == 1
    assert "[processor-failed]" in reproduced.stderr
    assert "not 'today' µ" in reproduced.stderr

    Path("bad day").unlink()
    assert "does not fail here" in call("reproduce", run_dir).stdout
    resumed = call("resume", run_dir, "--workers=0", "--json")
    assert resumed.exit_code == 0, resumed.output
    for command in (
        *(("show",), ("show", "--json"), ("verify",), ("report",), ("plot",)),
        *(("export", f"--format={kind}") for kind in ("root", "json", "coffea", "parquet")),
    ):
        done = call(command[0], run_dir, *command[1:])
        assert done.exit_code == 0, (command, done.output)
    (histogram,) = bp.load(run_dir).output.values()
    assert histogram.sum(flow=True) == 700
    listed = call("runs", folder).stdout
    assert f"nàme {HOSTILE}"[:8] in listed
