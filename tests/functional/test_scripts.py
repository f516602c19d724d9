"""Plain scripts that call `bp.run`, written as physicists write them: no main guard."""

import sys

import pytest
from tests.functional.processes import count_lines, run_to_the_end

SCRIPT = """
import math

import hist
import beampipe as bp
import selection

CUT = 20.0
print("BODY")

def process(events):
    met = events.MET.pt[selection.is_high(events.MET.pt, CUT)]
    h = hist.Hist.new.Reg(50, 0, 200, name="met").Int64().fill(met)
    return {"n": len(events), "pi": {math.floor(math.pi)}, "met": h}

result = bp.run(process, DATA, workers=2, chunksize=1000, run_dir="first", progress=False)
assert result.status == "complete"
print("n", result.output["n"], result.output["pi"], result.output["met"].sum() > 100)
"""

SIBLING = """
def is_high(pt, cut):
    return pt > cut
"""


@pytest.fixture
def folder(samples, tmp_path):
    folder = tmp_path / "my analysis 'µ'"
    folder.mkdir()
    (folder / "selection.py").write_text(SIBLING)
    (folder / "run it.py").write_text(SCRIPT.replace("DATA", repr(str(samples))))
    (folder / "as_module.py").write_text(SCRIPT.replace("DATA", repr(str(samples))))
    return folder


def run_python(folder, *arguments):
    ended = run_to_the_end([sys.executable, *arguments], folder)
    assert ended.returncode == 0, ended.err
    assert ended.err == ""
    return ended.out


SAID = "BODY\nn 8000 {3} True\n"


def test_a_script_by_path_runs_its_body_once(folder):
    assert run_python(folder, "run it.py") == SAID


def test_python_m(folder):
    assert run_python(folder, "-m", "as_module") == SAID


def test_python_c(folder):
    assert run_python(folder, "-c", (folder / "run it.py").read_text()) == SAID


def test_python_from_standard_input(folder):
    with (folder / "run it.py").open() as script:
        import subprocess

        ended = subprocess.run(
            [sys.executable, "-"],
            stdin=script,
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, SAID, "")


CLASSES = """
import os
import beampipe as bp
from coffea import processor

class Count:
    # An accumulator of the script's own.
    def __init__(self, n):
        self.n = n
    def __add__(self, other):
        return Count(self.n + other.n)

class Analysis(processor.ProcessorABC):
    def __init__(self, scale):
        self.scale = scale
    def process(self, events):
        return {"n": Count(self.scale * len(events)), "pid": {os.getpid()}}
    def postprocess(self, accumulator):
        return {"pids": accumulator["pid"], "total": accumulator["n"]}

before = dict(os.environ)
one = bp.run(Analysis(2), DATA, workers=1, chunksize=1000, run_dir="one", progress=False)
two = bp.run(Analysis, DATA, workers=2, params={"scale": 3}, run_dir="two", progress=False)
assert isinstance(one.output["total"], Count), one.output
assert len(one.output["pids"]) == 1 and os.getpid() not in one.output["pids"]
print(one.output["total"].n, two.output["total"].n, one.metrics["n_workers"])
assert __file__.endswith("classes.py")
changed = {name for name in os.environ.keys() ^ before.keys() if not name.startswith("__DASK")}
assert not changed, changed
raise SystemExit("as if the plots had failed")
"""


def test_classes_of_the_script_two_runs_and_an_error_afterwards(folder, samples):
    (folder / "classes.py").write_text(CLASSES.replace("DATA", repr(str(samples))))
    ended = run_to_the_end([sys.executable, "classes.py"], folder)  # nothing is left behind
    assert ended.err == "as if the plots had failed\n"
    assert ended.returncode == 1
    assert ended.out == "16000 24000 1\n"


BREAKING = """
import beampipe as bp

def process(events):
    raise RuntimeError("my own mistake")

bp.run(process, DATA, workers=1, run_dir="broken", progress=False)
"""


def test_a_processor_that_raises_ends_the_script_with_its_reason(folder, samples):
    (folder / "breaking.py").write_text(BREAKING.replace("DATA", repr(str(samples))))
    ended = run_to_the_end([sys.executable, "breaking.py"], folder)
    assert ended.returncode == 1
    assert ended.err.count("Traceback (most recent call last)") == 1
    assert "[run-stopped]" in ended.err
    assert "my own mistake" in ended.err


ENVIRONMENT = """
import os, sys
import beampipe as bp

def process(events):
    with open("done.log", "a") as log:
        log.write("chunk\\n")
    return {"cwd": {os.getcwd()}, "told": {os.environ["MY_SETTING"]}}

for word in ("first", "second"):
    os.environ["MY_SETTING"] = word
    os.mkdir(word)
    os.chdir(word)
    result = bp.run(process, DATA, workers=1, run_dir="run", progress=False)
    assert result.output == {"cwd": {os.getcwd()}, "told": {word}}, result.output
assert "coffea" not in sys.modules, "half a second that nobody needs here"
"""


def test_workers_have_the_environment_and_the_folder_of_the_moment(folder, samples):
    (folder / "env.py").write_text(ENVIRONMENT.replace("DATA", repr(str(samples))))
    run_python(folder, "env.py")
    assert count_lines(folder / "first" / "done.log") == 4
    assert count_lines(folder / "first" / "second" / "done.log") == 4


COUNTING = """
class Count:
    def __init__(self, n):
        self.n = n

    def __add__(self, other):
        return Count(self.n + other.n)

def process(events):
    return {"count": Count(len(events))}
"""


@pytest.mark.parametrize("verb", ["show", "report", "resume"])
def test_a_result_of_a_class_of_the_script_is_read_again_elsewhere(samples, tmp_path, folder, verb):
    (folder / "counting.py").write_text(COUNTING)
    run = ["-m", "beampipe", "run", "counting.py:process", str(samples), "--workers", "0"]
    run_python(folder, *run, "--quiet", "--run-dir", "counted")
    ended = run_to_the_end(
        [sys.executable, "-m", "beampipe", verb, str(folder / "counted")], tmp_path
    )
    assert ended.returncode == 0, ended.err
