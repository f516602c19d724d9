"""Where a contestant waits for its turn: a process of its own, asked through a pipe.

    python -m benchmarks.race.stand NAME

It answers each line of its input, a question as JSON, with one line of JSON: the seconds that a
run took, and the histograms that came out.
"""

import contextlib
import json
import os
import sys
import time
import traceback

from benchmarks.race.places import prepare_imports


def stand_by(runners):
    """Answer questions until there are no more."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # who prints, prints elsewhere
    for line in sys.stdin:
        question = json.loads(line)
        try:
            said = ask(runners[question["who"]], question)
        except Exception:  # noqa: BLE001  whatever it is, the other side is told
            said = {"error": traceback.format_exc(limit=-4)}
        print(json.dumps(said), file=answers, flush=True)


def ask(runner, question):
    began = time.perf_counter()
    output = runner(question["query"], question["paths"])
    seconds = time.perf_counter() - began
    stages = {}
    if isinstance(output, tuple):  # it took the time itself
        seconds, output = output
    elif hasattr(output, "timing"):
        stages = {stage.name: stage.seconds for stage in output.timing.workers}
        output = output.output
    return {"seconds": seconds, "counts": read_counts(output), "stages": stages}


def read_counts(output):
    """Histograms as lists of whole numbers, under- and overflow included."""
    return {
        name: [int(count) for count in value.values(flow=True)] for name, value in output.items()
    }


@contextlib.contextmanager
def local_cluster():
    """The cluster that a contestant on Dask works on: two workers of one thread each."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        yield client


def main():
    prepare_imports()
    from benchmarks.race.contestants import STANDS

    with STANDS[sys.argv[1]]() as runners:
        stand_by(runners)


if __name__ == "__main__":
    main()
