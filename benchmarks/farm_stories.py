"""One story on a farm, told with Beampipe's cluster or with dask-jobqueue's, in either's own venv.

``farm_stories.py CONTESTANT STORY SYSTEM CONTACT`` prints one JSON object. Stories that wait for
what does not come give up after `PATIENCE_S`. Started by `farms.py`.
"""

import json
import operator
import os
import subprocess
import sys
import time
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

CONTESTANT, STORY, SYSTEM, CONTACT = sys.argv[1:5]
OURS = CONTESTANT == "beampipe"
PATIENCE_S, WALLTIME_PATIENCE_S = 45, 200
CANCEL = {"slurm": "scancel", "htcondor": "condor_rm", "sge": "qdel"}[SYSTEM]


def open_cluster(*, queue="", option="", walltime_min=30):
    """A cluster of one-core jobs, as each documents it, with the same directives."""
    if OURS:
        import beampipe as bp

        more = {"queue": queue} if queue else {"directives": [option]} if option else {}
        return bp.cluster(
            SYSTEM,
            memory="400 MiB",
            contact_address=CONTACT,
            walltime=f"{walltime_min} min",
            work_folder=str(Path.cwd()),
            **more,
        )
    import dask_jobqueue

    size = {
        "cores": 1,
        "processes": 1,
        "memory": "400 MiB",
        "scheduler_options": {"host": CONTACT, "dashboard_address": ":0"},
        "log_directory": "logs",
    }
    if SYSTEM == "htcondor":
        more = {"submit_command_extra": [option]} if option else {}
        return dask_jobqueue.HTCondorCluster(disk="100 MiB", **size, **more)
    size |= {"walltime": f"00:{walltime_min:02d}:00", "queue": queue or None}
    if SYSTEM == "sge":
        return dask_jobqueue.SGECluster(resource_spec="mem_free=400M", **size)
    return dask_jobqueue.SLURMCluster(**size)


def job_ids(cluster):
    if OURS:
        return [job.job_id for job in cluster.jobs() if str(job.phase) == "connected"]
    return [worker.job_id for worker in cluster.workers.values()]


def came(condition, patience_s=PATIENCE_S):
    """Seconds until a condition holds; None if it does not within the time."""
    begin = time.monotonic()
    while time.monotonic() - begin < patience_s:
        if condition():
            return time.monotonic() - begin
        time.sleep(0.1)
    return None


def count_workers(client):
    return len(client.scheduler_info(-1)["workers"])


def trace(path, number, pause_s):
    time.sleep(pause_s)
    with Path(path).open("a") as file:
        file.write("x")
    return number


def start():
    """From opening the cluster to its first worker."""
    # Imports are not what is timed.
    import_module("beampipe.clusters.batch_cluster" if OURS else "dask_jobqueue")
    begin = time.monotonic()
    with open_cluster() as cluster:
        cluster.scale(1)
        cluster.wait_for_workers(1, timeout=90)
        return time.monotonic() - begin


def killed():
    """A job is cancelled behind our back."""
    with open_cluster() as cluster, cluster.get_client() as client:
        cluster.scale(2)
        cluster.wait_for_workers(2, timeout=90)
        came(lambda: len(job_ids(cluster)) == 2)
        addresses = set(client.scheduler_info(-1)["workers"])
        subprocess.run([CANCEL, job_ids(cluster)[0]], check=True, capture_output=True)
        gone = came(lambda: not addresses <= set(client.scheduler_info(-1)["workers"]))
        again = came(lambda: count_workers(client) == 2)
        if gone is None or again is None:
            return f"not replaced within {PATIENCE_S} s"
        return f"replaced after {gone + again:.0f} s"


def scale_down():
    """4 workers to 1 with 40 results in memory."""
    path = str(Path.cwd() / "trace")
    with open_cluster() as cluster, cluster.get_client() as client:
        cluster.scale(4)
        cluster.wait_for_workers(4, timeout=90)
        futures = client.map(trace, [path] * 40, range(40), [0.0] * 40, pure=False)
        client.gather(futures)
        cluster.scale(1)
        came(lambda: count_workers(client) == 1)
        total = sum(client.gather(futures))
        again = len(Path(path).read_text()) - 40
    return f"{again} of 40 results computed again" + ("" if total == 780 else ", and wrong")


def refused():
    """The queue does not take the job."""
    wrong = {"option": "-no-such-option"} if SYSTEM == "htcondor" else {"queue": "no-such"}
    begin = time.monotonic()
    try:
        with open_cluster(**wrong) as cluster:
            cluster.scale(1)
            cluster.wait_for_workers(1, timeout=PATIENCE_S)
    except Exception as error:  # noqa: BLE001 (whichever it is, it is told)
        said = " ".join(str(error).split())
        kind = type(error).__name__
        return f"{kind} after {time.monotonic() - begin:.0f} s: {said[:160]}"
    return "said nothing"


def adaptive():
    """Nothing, two workers, nothing."""
    with open_cluster() as cluster, cluster.get_client() as client:
        cluster.adapt(minimum=0, maximum=2)
        futures = client.map(operator.neg, range(10))
        total = sum(client.gather(futures))
        del futures
        gone = came(lambda: count_workers(client) == 0)
    back = f"no worker after {gone:.0f} s" if gone is not None else f"workers left ({PATIENCE_S} s)"
    return f"{'right' if total == -45 else 'wrong'}, then {back}"


def crowded():
    """14 jobs are asked for, 6 (Slurm) or 8 (HTCondor) fit."""
    with open_cluster() as cluster, cluster.get_client() as client:
        cluster.scale(14)
        came(lambda: count_workers(client) >= 6)
        if OURS:
            came(lambda: any(str(job.phase) == "pending" for job in cluster.jobs()), 20)
            said = cluster.describe_jobs()
        else:
            said = f"{repr(cluster).partition('(')[2].partition(',')[2].strip(' )')}"
        before = set(client.scheduler_info(-1)["workers"])
        cluster.scale(4)
        came(lambda: count_workers(client) == 4)
        kept = len(before & set(client.scheduler_info(-1)["workers"]))
    return f"says “{said}”; scale(4) kept {kept} of the workers"


def walltime():
    """Jobs have a minute; 240 tasks of a second, on two workers."""
    path = str(Path.cwd() / "trace")
    with open_cluster(walltime_min=1) as cluster, cluster.get_client() as client:
        cluster.scale(2)
        futures = client.map(trace, [path] * 240, range(240), [1.0] * 240, pure=False)
        took = came(lambda: all(each.done() for each in futures), WALLTIME_PATIENCE_S)
        done = sum(each.done() for each in futures)
        runs = len(Path(path).read_text())
    if took is None:
        return f"{done} of 240 tasks done after {WALLTIME_PATIENCE_S} s, and no worker left"
    return f"done after {took:.0f} s, {runs - 240} tasks computed again"


if __name__ == "__main__":
    stories = (start, killed, scale_down, refused, adaptive, crowded, walltime)
    outcome = {each.__name__: each for each in stories}[STORY]()
    packages = ("distributed", "beampipe" if OURS else "dask-jobqueue")
    versions = {name: version(name) for name in packages}
    sys.stdout.write(f"{json.dumps({'outcome': outcome, 'versions': versions})}\n")
    sys.stdout.flush()
    os._exit(0)  # what dask-jobqueue has left running is not waited for
