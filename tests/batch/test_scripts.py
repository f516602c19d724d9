from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from beampipe.batch.model import JobDescription
from beampipe.batch.scripts import redirect_output, write_script

HOSTILE = "µ 'quoted' $HOME `id` \"x\"\nsecond line\\"


def test_a_script_sets_runs_its_prologue_and_becomes_its_command(tmp_path):
    job = JobDescription(
        name="n",
        tag="t",
        command=("sh", "-c", 'printf "%s|%s|%s|$$" "$1" "$VALUE" "$MORE"', "sh", HOSTILE),
        log_folder=tmp_path,
        environment={"VALUE": HOSTILE},
        prologue=("if true; then", "  export MORE=$$", "fi"),
    )
    script = tmp_path / "job's script.sh"
    script.write_text(write_script(job, ["#X a line"]), encoding="utf-8")
    done = subprocess.run(["bash", str(script)], capture_output=True, text=True, check=True)
    argument, value, shell, command = done.stdout.split("|")
    assert (argument, value) == (HOSTILE, HOSTILE)
    assert shell == command  # one process: nothing stands between a signal and the command
    assert script.read_text().splitlines()[:2] == ["#!/bin/bash", "#X a line"]


def test_a_script_is_the_same_each_time():
    job = JobDescription(name="n", tag="t", command=("a b",), log_folder=Path("/l"))
    assert write_script(job) == "#!/bin/bash\nexec 'a b'\n"


@pytest.mark.parametrize("signum", [signal.SIGUSR1, signal.SIGUSR2])
def test_a_systems_own_signal_reaches_the_command_as_term(tmp_path, signum):
    told = "trap 'echo told; exit 5' TERM; echo up; while :; do sleep 0.1; done"
    job = JobDescription(name="n", tag="t", command=("bash", "-c", told), log_folder=tmp_path)
    script = tmp_path / "job.sh"
    script.write_text(write_script(job, relayed=("USR1", "USR2")))
    with subprocess.Popen(
        ["bash", str(script)], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as child:
        assert child.stdout.readline() == "up\n"
        os.killpg(child.pid, signum)  # to the whole job, as Grid Engine does
        assert child.stdout.read() == "told\n"
        assert child.wait(60) == 5


def test_a_command_is_told_even_if_it_was_said_while_it_was_started(tmp_path):
    told = "trap 'exit 5' TERM; kill -USR1 $PPID; while :; do sleep 0.05; done"
    job = JobDescription(name="n", tag="t", command=("bash", "-c", told), log_folder=tmp_path)
    script = tmp_path / "job.sh"
    script.write_text(write_script(job, relayed=("USR1",)))
    for _ in range(20):
        assert subprocess.run(["bash", str(script)], check=False, timeout=120).returncode == 5


def test_a_command_is_told_once_however_often_the_system_says_it(tmp_path):
    told = "trap 'echo told' TERM; trap 'echo end; exit' INT; echo up; while :; do sleep 0.1; done"
    job = JobDescription(name="n", tag="t", command=("bash", "-c", told), log_folder=tmp_path)
    script = tmp_path / "job.sh"
    script.write_text(write_script(job, relayed=("USR1", "USR2")))
    with subprocess.Popen(
        ["bash", str(script)], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as child:
        assert child.stdout.readline() == "up\n"
        os.killpg(child.pid, signal.SIGUSR1)
        assert child.stdout.readline() == "told\n"
        for _ in range(20):
            os.killpg(child.pid, signal.SIGUSR2)
            time.sleep(0.02)
        os.killpg(child.pid, signal.SIGINT)
        assert child.stdout.read() == "end\n"


def test_a_script_sends_its_output_to_its_own_files(tmp_path):
    logs = tmp_path / "lo g's µ"
    logs.mkdir()
    shown = ("sh", "-c", "cat; echo a; echo b >&2")
    job = JobDescription(name="n", tag="t", command=shown, log_folder=logs)
    script = tmp_path / "job.sh"
    script.write_text(write_script(job, [redirect_output(job, '"$ID"')]), encoding="utf-8")
    subprocess.run(["bash", str(script)], check=True, env=os.environ | {"ID": "7[1]"})
    assert (logs / "t-7[1].out").read_text() == "a\n"
    assert (logs / "t-7[1].err").read_text() == "b\n"


@pytest.mark.parametrize(("text", "code"), [("exit 3", 3), ("kill -9 $$", 137), ("true", 0)])
def test_a_relaying_script_ends_as_its_command_does(tmp_path, text, code):
    job = JobDescription(name="n", tag="t", command=("sh", "-c", text), log_folder=tmp_path)
    script = tmp_path / "job.sh"
    script.write_text(write_script(job, relayed=("USR1",)))
    done = subprocess.run(["bash", str(script)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (code, "")
