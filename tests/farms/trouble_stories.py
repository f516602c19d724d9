"""Stories of a farm in trouble: nodes, links, the queue, the time that jobs have."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

from storytelling import (
    CANCEL,
    PATIENCE_S,
    SYSTEM,
    WAITS,
    connected,
    count_queue,
    ids,
    open_cluster,
    reach,
    tell,
    wait_for,
)

import beampipe as bp
from beampipe.clusters.fleet import Phase

SLOW = f"{Path(__file__).with_name('slow_processor.py')}:process"
TRACES, CHUNKS, EVENTS = Path("traces"), 60, 100


def make_run() -> dict[str, Any]:
    """The data of a run, and what comes of it in this process."""
    TRACES.mkdir()
    bp.make_data("data", files=CHUNKS, events=EVENTS)  # each file is a chunk
    Path("here").mkdir()
    return run_slowly(traces="here", pause_s=0, workers=0).output


def run_slowly(*, traces: str, pause_s: float, **where: Any) -> Any:
    params = {"traces": str(Path(traces).absolute()), "pause_s": pause_s}
    return bp.run(SLOW, "data", params=params, progress=False, fresh=True, **where)


def run_beside(cluster: Any, here: dict[str, Any], *, pause_s: float) -> dict[str, Any]:
    """The run on the cluster, beside what it gave here."""
    with cluster.get_client() as client:
        there = run_slowly(traces=TRACES, pause_s=pause_s, client=client)
    pt, big = there.output["pt"], there.output["big"]
    return {
        "complete": there.is_complete,
        "missing": CHUNKS * EVENTS - there.output["events"],
        "equal": bool((pt.values() == here["pt"].values()).all() and (big == here["big"]).all()),
    }


def count_traces() -> int:
    return len(list(TRACES.iterdir()))


def link_cut() -> dict[str, Any]:
    """A cable is out for a while, in the middle of a run."""
    here = make_run()
    with open_cluster(n_workers=2) as cluster:
        cluster.wait_for_workers(2, timeout=PATIENCE_S)
        return run_beside(cluster, here, pause_s=0.6)


def holders_lost() -> dict[str, Any]:
    """4 workers to 1 in the middle of a run, which hold what is merged."""
    here = make_run()
    with open_cluster(n_workers=4) as cluster:
        cluster.wait_for_workers(4, timeout=PATIENCE_S)

        def scale() -> None:
            wait_for(lambda: count_traces() >= CHUNKS / 3, "a part of the run")
            cluster.scale(1)

        scaling = threading.Thread(target=scale, daemon=True)  # a run may fail before
        scaling.start()
        found = run_beside(cluster, here, pause_s=0.6)
        scaling.join()
        wait_for(lambda: len(connected(cluster)) == 1, "one worker")
        return found


def negate_slowly(number: int) -> int:
    time.sleep(0.5)
    return -number


def node_dead() -> dict[str, Any]:
    """A node goes without a word while a map is under way."""
    with open_cluster(n_workers=2) as cluster:
        cluster.wait_for_workers(2, timeout=PATIENCE_S)
        wait_for(lambda: len(connected(cluster)) == 2, "two connected jobs")
        wait_for(lambda: all(job.host for job in connected(cluster)), "their hosts")
        victim = connected(cluster)[0]
        with cluster.get_client() as client:
            futures = client.map(negate_slowly, range(120), pure=False)
            wait_for(lambda: sum(each.done() for each in futures) > 4, "some of the map")
            reach("under way", host=victim.host)
            total = sum(client.gather(futures))
        wait_for(
            lambda: len(connected(cluster)) == 2 and victim.job_id not in ids(connected(cluster)),
            "a job in its place",
        )
        (over,) = [job for job in cluster.jobs() if job.job_id == victim.job_id]
        hosts = {job.host for job in connected(cluster)}
        return {
            "total": total,
            "victim": str(over.phase),
            "reason": over.reason,
            "elsewhere": victim.host not in hosts,
        }


WRAPPER = """#!/bin/sh
mode=$(cat {mode})
[ "$mode" = works ] && exec {real} "$@"
echo "$mode" >> {calls}
case $mode in
  nonsense) echo 'Zero Bytes were <transmitted>' ;;
  fails) echo 'Socket timed out on send/recv operation' >&2; exit 1 ;;
  hangs) while [ "$(cat {mode})" = hangs ]; do sleep 0.2; done; exit 1 ;;
esac
"""


class Wrapped:
    """A program put before one of the batch system's, of the same name."""

    def __init__(self, program: str) -> None:
        folder = Path("bin").absolute()
        folder.mkdir()
        self._mode, self._calls = folder / "mode", folder / "calls"
        self._calls.touch()
        self.have("works")
        paths = {"mode": self._mode, "calls": self._calls, "real": shutil.which(program)}
        quoted = {name: shlex.quote(str(path)) for name, path in paths.items()}
        wrapper = folder / program
        wrapper.write_text(WRAPPER.format(**quoted))
        wrapper.chmod(0o755)
        os.environ["PATH"] = f"{folder}:{os.environ['PATH']}"

    def have(self, mode: str) -> None:
        new = self._mode.with_suffix(".new")
        new.write_text(mode)
        new.rename(self._mode)

    def has(self, mode: str, often: int) -> bool:
        return self._calls.read_text().split().count(mode) >= often


def queue_trouble() -> dict[str, Any]:
    """The queue talks nonsense, fails and hangs: nothing is ended for it, and all goes on."""
    status = {"slurm": "squeue", "htcondor": "condor_q", "sge": "qstat", "oar": "oarstat"}
    queue = Wrapped(status[SYSTEM])
    with open_cluster(n_workers=2) as cluster:
        cluster.wait_for_workers(2, timeout=PATIENCE_S)
        wait_for(lambda: len(connected(cluster)) == 2, "two connected jobs")
        before = ids(connected(cluster))
        queue.have("nonsense")
        wait_for(lambda: queue.has("nonsense", 4), "nonsense")
        cluster.scale(3)  # what is asked for now is had without the queue's word
        cluster.wait_for_workers(3, timeout=PATIENCE_S)
        queue.have("fails")
        wait_for(lambda: queue.has("fails", 4), "failures")
        queue.have("hangs")
        wait_for(lambda: queue.has("hangs", 1), "a command that hangs")
        after = ids(connected(cluster))
        ended = [str(job.phase) for job in cluster.jobs() if job.phase is not Phase.CONNECTED]
        queue.have("works")
        subprocess.run([CANCEL, before[0]], check=True, capture_output=True)
        wait_for(
            lambda: len(connected(cluster)) == 3 and before[0] not in ids(connected(cluster)),
            "a job in its place",
        )
        with cluster.get_client() as client:
            total = sum(client.gather(client.map(negate_slowly, range(6))))
    return {"kept": set(before) < set(after), "ended": ended, "total": total}


def held() -> dict[str, Any]:
    """A job that waits is held by somebody: it is given up, and another one waits in its place."""
    hold = {
        "slurm": ("scontrol", "hold"),
        "htcondor": ("condor_hold",),
        "sge": ("qhold",),
        "oar": ("oarhold",),
    }
    with open_cluster(n_workers=1, directives=[WAITS]) as cluster:
        wait_for(lambda: has(cluster, Phase.PENDING), "a job that waits")
        (victim,) = cluster.jobs()
        subprocess.run([*hold[SYSTEM], victim.job_id], check=True, capture_output=True)
        wait_for(lambda: has(cluster, Phase.LOST), "it to be given up")
        wait_for(lambda: has(cluster, Phase.PENDING), "another one")
        wait_for(lambda: count_queue(cluster.tag) == 1, "one job in the queue")
        (over,) = [job for job in cluster.jobs() if job.job_id == victim.job_id]
        return {"victim": str(over.phase), "reason": over.reason}


def has(cluster: Any, phase: Phase) -> bool:
    return any(job.phase is phase for job in cluster.jobs())


if __name__ == "__main__":
    tell(link_cut, holders_lost, node_dead, queue_trouble, held)
