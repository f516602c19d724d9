"""Stories of clusters on a real farm: what they are for, and what may happen to them."""

from __future__ import annotations

import operator
import os
import subprocess
from pathlib import Path

from storytelling import (
    CANCEL,
    PATIENCE_S,
    SYSTEM,
    connected,
    count_queue,
    ids,
    open_cluster,
    tell,
    wait_for,
)

import beampipe as bp
from beampipe.clusters.fleet import Phase
from beampipe.errors import JobsFailError


def analysis():
    """The dimuon spectrum, here and there, and a job that is killed behind our back meanwhile."""
    data = Path("data")
    bp.make_data(data, events=40_000)
    example = Path(__file__).parents[2] / "examples" / "dimuon.py"
    here = bp.run(f"{example}:process", str(data), workers=0, progress=False, fresh=True)
    with open_cluster(n_workers=2) as cluster:
        cluster.wait_for_workers(1, timeout=PATIENCE_S)
        with cluster.get_client() as client:
            there = bp.run(
                f"{example}:process",
                str(data),
                client=client,
                progress=False,
                fresh=True,
                chunksize=4000,
            )
    # The cluster has ended its jobs, and not waited for ever until each of them was gone.
    wait_for(lambda: count_queue(cluster.tag) == 0, "an empty queue")
    names = [name for name, value in here.output.items() if hasattr(value, "axes")]
    return {
        "histograms": len(names),
        "equal": all((here.output[n].values() == there.output[n].values()).all() for n in names),
        "complete": there.is_complete,
        "workers": there.metrics["n_workers"],
    }


def killed():
    """A job is cancelled behind our back: another one takes its place."""
    with open_cluster(n_workers=2) as cluster:
        cluster.wait_for_workers(2, timeout=PATIENCE_S)
        wait_for(lambda: len(connected(cluster)) == 2, "two connected jobs")
        victim = connected(cluster)[0].job_id
        subprocess.run([CANCEL, victim], check=True, capture_output=True)
        wait_for(
            lambda: len(connected(cluster)) == 2 and victim not in ids(connected(cluster)),
            "a job in its place",
        )
        with cluster.get_client() as client:
            total = sum(client.gather(client.map(operator.neg, range(10))))
        ended = {job.job_id: job.phase for job in cluster.jobs()}
        return {"total": total, "victim": str(ended[victim])}


def trace(path, number):
    with Path(path).open("a") as file:
        file.write("x")
    return number


def scale_down():
    """4 workers to 1 with results in memory: none is computed again."""
    path = str(Path.cwd() / f"trace-{os.getpid()}")
    with open_cluster(n_workers=4) as cluster:
        cluster.wait_for_workers(4, timeout=PATIENCE_S)
        with cluster.get_client() as client:
            futures = client.map(trace, [path] * 40, range(40), pure=False)
            client.gather(futures)
            cluster.scale(1)
            wait_for(lambda: len(client.scheduler_info(-1)["workers"]) == 1, "one worker")
            total = sum(client.gather(futures))
        wait_for(lambda: count_queue(cluster.tag) == 1, "one job in the queue")
    wait_for(lambda: count_queue(cluster.tag) == 0, "an empty queue")
    return {"total": total, "computed": len(Path(path).read_text())}


def refused():
    """The queue takes nothing: an error says so, in its words."""
    no_line = {"directives": ["no submit line"]}  # HTCondor has no queues
    wrong = no_line if SYSTEM == "htcondor" else {"queue": "no-such"}
    with open_cluster(n_workers=2, **wrong) as cluster:
        try:
            cluster.wait_for_workers(1, timeout=PATIENCE_S)
        except JobsFailError as error:
            return {"why": error.why}
    return {}


def broken():
    """Jobs that fail early: an error has what they wrote."""
    with open_cluster(n_workers=1, prologue=["echo no such module >&2; exit 3"]) as cluster:
        try:
            cluster.wait_for_workers(1, timeout=PATIENCE_S)
        except JobsFailError as error:
            return {"why": error.why, "left": count_queue(cluster.tag)}
    return {}


def adaptive():
    """From nothing to workers and back to nothing."""
    with open_cluster() as cluster, cluster.get_client() as client:
        cluster.adapt(minimum=0, maximum=2, patience_s=2)
        futures = client.map(operator.neg, range(10))
        total = sum(client.gather(futures))
        del futures
        wait_for(lambda: not client.scheduler_info(-1)["workers"], "no worker")
        wait_for(lambda: count_queue(cluster.tag) == 0, "no job")
    return {"total": total}


def crowded():
    """More jobs than fit: those that wait say why, and go first."""
    with open_cluster(n_workers=14) as cluster:
        cluster.wait_for_workers(4, timeout=PATIENCE_S)
        wait_for(lambda: any(j.phase is Phase.PENDING for j in cluster.jobs()), "a pending job")
        wait_for(lambda: SYSTEM != "slurm" or any(j.reason for j in cluster.jobs()), "a reason")
        pending = [job for job in cluster.jobs() if job.phase is Phase.PENDING]
        cluster.scale(4)
        wait_for(lambda: count_queue(cluster.tag) == 4, "four jobs")
        return {"reasons": sorted({job.reason for job in pending}), "pending": len(pending)}


if __name__ == "__main__":
    tell(analysis, killed, scale_down, refused, broken, adaptive, crowded)
