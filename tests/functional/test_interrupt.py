"""Runs that are ended from outside, and gone on with: nothing lost, nothing twice."""

import json
import os
import re
import shlex
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
from tests.functional.processes import (
    BEAMPIPE,
    Session,
    assert_nothing_is_left,
    count_lines,
    run_to_the_end,
    wait_until,
)

import beampipe as bp

CHUNK = 100
N_CHUNKS = 80

ANALYSIS = """
import os, time
import hist

LOG = {log!r}

def process(events):
    time.sleep(0.05)
    begin = events.metadata["entrystart"]
    with open(LOG, "a") as log:
        log.write(f"{{begin}}\\n")
    met = hist.Hist.new.Reg(50, 0, 200, name="met").Int64().fill(events.MET.pt)
    return {{"n": len(events), "met": met, "chunks": {{(events.metadata["fileuuid"], begin)}}}}
"""


@pytest.fixture(autouse=True)
def temporary(monkeypatch):
    """What is killed cannot tidy up. (Not below `tmp_path`: sockets want a short path.)"""
    with tempfile.TemporaryDirectory(prefix="bp ") as folder:
        monkeypatch.setenv("TMPDIR", folder)
        yield


@pytest.fixture
def analysis(tmp_path):
    """A folder with an analysis that writes down every chunk that it does."""
    folder = tmp_path / "my 'own' µ"
    folder.mkdir()
    (folder / "analysis.py").write_text(ANALYSIS.format(log=str(folder / "done.log")))
    return folder


@pytest.fixture(scope="module")
def expected(samples, tmp_path_factory):
    folder = tmp_path_factory.mktemp("expected")
    (folder / "uninterrupted.py").write_text(ANALYSIS.format(log=str(folder / "done.log")))
    return bp.run(
        f"{folder / 'uninterrupted.py'}:process",
        samples,
        client="inline",
        chunksize=2000,
        run_dir=folder / "run",
        progress=False,
    ).output


def start(analysis, samples, *options):
    arguments = ["analysis.py:process", str(samples), "--chunksize", str(CHUNK)]
    arguments += ["--run-dir", "the run", "--workers", "2", *options]
    return Session([*BEAMPIPE, "run", *arguments], analysis)


def assert_same(result, expected):
    """The same sums, of as many chunks as there are."""
    assert result.status == "complete"
    assert result.output["n"] == expected["n"]
    assert result.output["met"] == expected["met"]
    assert len(result.output["chunks"]) == N_CHUNKS


def assert_ended_well(session, run_dir):
    ended = session.wait()
    assert ended.returncode == 130, ended.err
    assert "Traceback" not in ended.err
    assert "Exception" not in ended.err
    (told,) = re.findall(r"`(beampipe resume .*)`", ended.err)
    assert Path(shlex.split(told)[2]).samefile(run_dir)
    assert ended.out == ""
    assert_nothing_is_left(session)


def finish(analysis, expected):
    """Resume, from Python, and see that it was only what was missing."""
    run_dir, log = analysis / "the run", analysis / "done.log"
    kept = bp.load(run_dir)
    assert kept.status == "interrupted"
    assert bp.verify(run_dir).is_proved
    n_kept = kept.accounting.datasets[0].chunks_processed
    log.unlink(missing_ok=True)
    result = bp.resume(run_dir, client="inline", progress=False)
    assert_same(result, expected)
    assert result.accounting.datasets[0].chunks_reused == n_kept
    assert count_lines(log) == N_CHUNKS - n_kept
    assert bp.verify(run_dir).is_proved
    return n_kept


def test_ctrl_c_commits_what_is_done_and_resume_does_the_rest(analysis, samples, expected):
    log = analysis / "done.log"
    with start(analysis, samples) as session:
        wait_until(lambda: count_lines(log) >= 20, "some chunks are done")
        session.press_ctrl_c()
        assert_ended_well(session, analysis / "the run")
    assert bp.verify(analysis / "the run").is_proved
    kept = bp.load(analysis / "the run").accounting.datasets[0].chunks_processed
    assert 2 <= kept < N_CHUNKS
    log.unlink()

    resume = [*BEAMPIPE, "resume", "the run", "--workers", "1", "--json"]
    ended = run_to_the_end(resume, analysis)
    assert ended.returncode == 0, ended.err
    told = json.loads(ended.out)
    assert told["datasets"]["data"]["chunks_reused"] == kept
    assert count_lines(log) == N_CHUNKS - kept
    assert bp.verify(analysis / "the run").is_proved
    assert_same(bp.load(analysis / "the run"), expected)


@pytest.mark.parametrize(
    "sign", ["run.json", "lease.json"], ids=["workers are on their way", "workers are there"]
)
def test_ctrl_c_during_start_up(analysis, samples, expected, sign):
    run_dir = analysis / "the run"
    with start(analysis, samples) as session:
        wait_until((run_dir / sign).exists, f"there is {sign}")
        session.press_ctrl_c()
        assert_ended_well(session, run_dir)
    if sign == "run.json":
        finish(analysis, expected)


def imports_have_begun(pid):
    """Before that a Ctrl-C meets Python's own start, which ends as it pleases."""
    return "/lib-dynload/" in Path(f"/proc/{pid}/maps").read_text()


def test_ctrl_c_before_anything_is_begun(analysis, samples):
    with start(analysis, samples) as session:
        wait_until(lambda: imports_have_begun(session.pid), "Python itself has started")
        session.press_ctrl_c()
        ended = session.wait()
        assert ended.returncode in {130, -signal.SIGINT}  # the latter before the command is there
        assert_nothing_is_left(session)


def test_an_impatient_second_ctrl_c(analysis, samples, expected):
    with start(analysis, samples) as session:
        wait_until(lambda: count_lines(analysis / "done.log") >= 20, "some chunks are done")
        session.press_ctrl_c()
        time.sleep(0.05)
        session.press_ctrl_c()
        assert_ended_well(session, analysis / "the run")
    finish(analysis, expected)


CLOSES_LATE = """
import time
import beampipe as bp
from beampipe.errors import RunInterruptedError
from beampipe.runs import embedded

embedded._GIVE_UP_S = 0.05  # less than any cluster takes to close

def process(events):
    open("begun", "w").close()
    time.sleep(0.5)
    return {"n": 1}

try:
    bp.run(process, DATA, chunksize=100, progress=False, run_dir="the run")
except RunInterruptedError:
    print("interrupted")
"""


def test_a_cluster_that_takes_too_long_to_close_is_given_up_without_a_word(tmp_path, samples):
    (tmp_path / "script.py").write_text(CLOSES_LATE.replace("DATA", repr(str(samples))))
    with Session([sys.executable, "script.py"], tmp_path) as session:
        wait_until((tmp_path / "begun").exists, "a chunk is begun")
        session.press_ctrl_c()
        ended = session.wait()
        assert (ended.returncode, ended.out, ended.err) == (0, "interrupted\n", "")
        assert_nothing_is_left(session)


def test_a_batch_system_ends_the_driver_alone(analysis, samples, expected):
    with start(analysis, samples) as session:
        wait_until(lambda: count_lines(analysis / "done.log") >= 20, "some chunks are done")
        session.kill(signal.SIGTERM)
        assert_ended_well(session, analysis / "the run")
    assert finish(analysis, expected) >= 2


def test_a_driver_that_is_killed_leaves_its_commits_and_nobody_behind(analysis, samples, expected):
    run_dir = analysis / "the run"
    with start(analysis, samples, "--checkpoint", "0.2") as session:
        wait_until(lambda: any(run_dir.glob("segments/*.zip")), "something is committed")
        session.kill(signal.SIGKILL)
        session.wait()
        assert_nothing_is_left(session)
    assert finish(analysis, expected) >= 1


def test_resume_of_a_complete_run_does_nothing(samples, tmp_path, expected, monkeypatch):
    log = tmp_path / "done.log"
    (tmp_path / "again.py").write_text(ANALYSIS.format(log=str(log)))
    run_dir = tmp_path / "a run"
    bp.run(
        f"{tmp_path / 'again.py'}:process",
        samples,
        client="inline",
        chunksize=1000,
        run_dir=run_dir,
        progress=False,
    )
    log.unlink()
    monkeypatch.setattr("beampipe.runs.pools.embedded_client", None)  # no workers are started
    result = bp.resume(run_dir, progress=False)
    assert result.status == "complete"
    assert result.accounting.datasets[0].chunks_reused == 8
    assert result.output["met"] == expected["met"]
    assert not log.exists()


def test_a_thread_other_than_the_main_one(samples, tmp_path, expected):
    results = []

    def work():
        results.append(bp.run(summed, samples, workers=1, run_dir=tmp_path / "run", progress=False))

    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join(120)
    assert results[0].output["n"] == expected["n"]
    assert results[0].output["worker"] != {os.getpid()}
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def summed(events):
    return {"n": len(events), "worker": {os.getpid()}}
