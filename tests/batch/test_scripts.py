from __future__ import annotations

import subprocess
from pathlib import Path

from beampipe.batch.model import JobDescription
from beampipe.batch.scripts import write_script

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
