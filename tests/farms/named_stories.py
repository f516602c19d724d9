"""Stories of clusters with a name, by the command line; and of jobs whose process was killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from storytelling import CONTACT, SIZE, SYSTEM, WAITS, count_queue, list_queue, tell, wait_for

import beampipe as bp
from beampipe.clusters.fleet import Phase
from beampipe.clusters.named import Standing, find_named

USE = """
import operator, sys, beampipe as bp
with bp.connect(sys.argv[1]) as cluster, cluster.get_client() as client:
    print(sum(client.gather(client.map(operator.neg, range(10)))))
"""
LEAVE = """
import sys, time, beampipe as bp
cluster = bp.cluster("farm", name="forgotten", n_workers=2, directives=sys.argv[1:])
print(cluster.tag, flush=True)
time.sleep(600)
"""


def begin(**more: str) -> None:
    """Have clusters and sites of this story alone; at one of these all jobs wait."""
    os.environ["XDG_STATE_HOME"] = str(Path.cwd() / "state µ")
    values = {"like": SYSTEM, **SIZE, **more}
    for name, directives in (("farm", []), ("full", [WAITS])):
        profile = Path("beampipe-sites") / f"{name}.toml"
        profile.parent.mkdir(exist_ok=True)
        lines = {**values, "directives": directives}.items()
        profile.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in lines))


def run_python(*argv: str) -> str:
    done = subprocess.run([sys.executable, *argv], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{argv}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def cli(*words: str) -> str:
    return run_python("-m", "beampipe", "cluster", *words)


def use(name: str) -> int:
    """Compute in a process that knows no more than the name."""
    return int(run_python("-c", USE, name))


def standing(name: str) -> str:
    """What the command line says of it."""
    return next(
        each["standing"] for each in json.loads(cli("ls", "--json")) if each["name"] == name
    )


def jobs_in(name: str, phase: Phase) -> set[str]:
    with bp.connect(name) as cluster:
        return {job.job_id for job in cluster.jobs() if job.phase is phase}


def killed_controller() -> dict[str, Any]:
    """Controllers are killed, and others take their place, with the same keys.

    Workers end when they lose their scheduler, and are replaced; jobs that wait keep their place.
    """
    begin(contact_address=CONTACT)
    cli("up", "top", "--on", "farm", "--workers", "1")
    cli("up", "later", "--on", "full", "--workers", "2")
    wait_for(lambda: jobs_in("top", Phase.CONNECTED), "a connected job")
    wait_for(lambda: len(jobs_in("later", Phase.PENDING)) == 2, "two jobs that wait")
    totals, waiting = [use("top")], jobs_in("later", Phase.PENDING)
    tags = [find_named(each).tag for each in ("top", "later")]
    for name in ("top", "later"):
        os.kill(find_named(name).owner["pid"], signal.SIGKILL)
    wait_for(lambda: find_named("top").standing is Standing.GONE, "it to be gone")
    gone = standing("top")
    for name in ("top", "later"):
        cli("up", name)
    wait_for(lambda: jobs_in("top", Phase.CONNECTED), "a connected job again")
    totals.append(use("top"))
    wait_for(lambda: len(jobs_in("later", Phase.PENDING)) == 2, "two jobs that wait, again")
    kept = len(waiting & jobs_in("later", Phase.PENDING))
    for name in ("top", "later"):
        cli("down", name)
    wait_for(lambda: not any(count_queue(tag) for tag in tags), "an empty queue")
    return {"totals": totals, "gone": gone, "kept": kept, "listed": json.loads(cli("ls", "--json"))}


def as_job() -> dict[str, Any]:
    """Scheduler and controller are a job as well, and everything ends by one command."""
    begin()
    cli("up", "far", "--on", "farm", "--workers", "1", "--scheduler", "job")
    wait_for(lambda: jobs_in("far", Phase.CONNECTED), "a connected job")
    total, tag, host = use("far"), find_named("far").tag, find_named("far").owner["host"]
    queue = sum(each == tag or each.startswith("bp-far-scheduler-") for each in list_queue())
    cli("down", "far")
    wait_for(lambda: not any(each.startswith("bp-far-") for each in list_queue()), "an empty queue")
    return {"total": total, "queue": queue, "elsewhere": host != os.uname().nodename}


def reaped() -> dict[str, Any]:
    """A process is killed while its jobs wait: another one finds and ends them."""
    begin(contact_address=CONTACT)
    child = subprocess.Popen(
        [sys.executable, "-c", LEAVE, WAITS], stdout=subprocess.PIPE, text=True
    )
    tag = child.stdout.readline().strip()
    wait_for(lambda: count_queue(tag) == 2, "two jobs that wait")
    living = cli("reap", "--yes")
    child.kill()
    child.wait()
    left = count_queue(tag)
    said = cli("reap", "--yes")
    wait_for(lambda: not count_queue(tag), "an empty queue")
    return {"living": tag in living, "left": left, "said": "'forgotten'" in said and tag in said}


if __name__ == "__main__":
    tell(killed_controller, as_job, reaped)
