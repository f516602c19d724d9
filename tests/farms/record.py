"""Write down what real commands print, for tests/batch: ``python -m tests.farms.record slurm``."""

from __future__ import annotations

import os
import pwd
import shutil
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from tests.farms import htcondor, oar, sge, slurm

from beampipe.batch.model import JobDescription, JobState
from beampipe.batch.registry import DIALECTS

RECORDED = Path(__file__).resolve().parents[1] / "batch" / "recorded"
SYSTEMS = {"slurm": slurm, "htcondor": htcondor, "sge": sge, "oar": oar}
HELD = {"slurm": "--hold", "htcondor": "hold = True", "sge": "-h", "oar": "--hold"}
ENDINGS = {
    "finished": ("true",),
    "exit": ("sh", "-c", "exit 3"),
    "signal": ("sh", "-c", "kill -9 $$"),
    "memory": ("sh", "-c", "head -c 900000000 /dev/zero | tail | sleep 30"),
    "walltime": ("sleep", "300"),
    "cancelled": ("sleep", "300"),
}


def record(system: str) -> None:
    """Play one job of each fate, and keep what the commands print of them."""
    dialect = DIALECTS[system]
    folder = Path(tempfile.mkdtemp(prefix="bpr-"))
    farm = SYSTEMS[system].start(folder)
    into = RECORDED / system
    into.mkdir(parents=True, exist_ok=True)
    logs = farm.shared / "logs"
    logs.mkdir()
    os.chown(logs, *pwd.getpwnam(farm.user)[2:4])
    plain = JobDescription(name="recorded", tag="bp-recorded", command=("true",), log_folder=logs)
    plain = replace(plain, memory_bytes=100 * 2**20, walltime_s=60 if system == "slurm" else 20)

    def ask(command, name: str = "") -> str:
        done = farm.run(*command.argv, stdin=command.stdin)
        if name:
            (into / f"{name}.txt").write_text(done.stdout or done.stderr)
        return done.stdout

    def submit(job: JobDescription, name: str = "") -> tuple[str, ...]:
        script = farm.shared / f"{time.monotonic_ns()}.sh"
        script.write_text(dialect.submit_text(job))
        script.chmod(0o755)
        return dialect.read_submitted(ask(dialect.submit(job, script), name), job.count)

    def status(name: str = ""):
        answer = ask(dialect.status(user=farm.user, tag="bp-recorded"), name)
        return dialect.read_status(answer, time.time())

    try:
        fates = {
            fate: submit(replace(plain, command=command), "submitted-one")[0]
            for fate, command in ENDINGS.items()
            if (system, fate)
            not in {("sge", "memory"), ("oar", "memory")}  # nobody limits it there
        }
        submit(replace(plain, directives=(HELD[system],)))
        submit(replace(plain, command=("sleep", "50"), cores=2, count=12), "submitted-array")
        while status()[fates["cancelled"]].state is not JobState.RUNNING:
            time.sleep(0.2)
        time.sleep(2)
        status("status")
        ask(dialect.cancel((fates["cancelled"],))[0])
        while True:
            now = status().get(fates["walltime"])
            if now is None or now.end:
                break
            time.sleep(1)
        status("status-later")
        for command in dialect.cancel(tuple(status())):
            ask(command)
        time.sleep(4)
        texts = [ask(command) for command in dialect.autopsy(tuple(fates.values()))]
        (into / "autopsy.txt").write_text("".join(texts))
        lines = [f"{fate} {job_id}\n" for fate, job_id in fates.items()]
        (into / "fates.txt").write_text("".join(lines))
    finally:
        SYSTEMS[system].stop(farm)
        shutil.rmtree(folder)


if __name__ == "__main__":
    record(sys.argv[1])
