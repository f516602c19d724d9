"""Figures that are no race: cold starts, a chunk's fixed cost, the first partial, memory.

Each is measured by a process of its own, so that nothing is warm that should not be.
"""

import json
import shutil
import subprocess
import sys
import time

from benchmarks.race.asking import StandError, Stands, stand_settings
from benchmarks.race.cases import DATA, Data
from benchmarks.race.contestants import CONTESTANTS
from benchmarks.race.files import prepare, read_through
from benchmarks.race.places import BENCH, PROJECT, environment

COLD = Data("narrow zlib")
WIDEST = Data("widest zlib", 2_500, events=2_000, distinct=1)
CHUNKS = (20, 120)


def measure_cold_starts(records, rounds, say, names=tuple(CONTESTANTS)):
    """From the start of a contestant's process to its first result, caches of metadata empty."""
    paths = prepare(COLD, 4, say)
    read_through(paths)
    for number in range(1, rounds + 1):
        for name in names:
            known = {"figure": "cold start", "who": name, "round": number}
            if name == "second" or records.has(**known):
                continue
            shutil.rmtree(BENCH / "cache", ignore_errors=True)
            began = time.perf_counter()
            try:
                with Stands() as stands:
                    question = {"who": name, "query": "q5", "paths": paths}
                    stands.ask(CONTESTANTS[name].stand, question)
                    seconds = time.perf_counter() - began
            except StandError as error:
                say(f"  {name}: {error}")
                continue
            say(f"cold start, round {number}  {name:18} {seconds:8.3f} s")
            records.add(**known, seconds=seconds)


def measure_chunks(records, rounds, say):
    """What each further chunk costs on files with 2,619 branches, one small chunk a file."""
    paths = prepare(WIDEST, CHUNKS[1], say)
    read_through(paths)
    ask_probe(records, rounds, say, {"figure": "chunk", "paths": paths, "sizes": CHUNKS})


def measure_first_partial(records, rounds, say):
    """From the start of the command to the first partial result that it shows."""
    paths = prepare(DATA["narrow zlib"], 16, say)
    read_through(paths)
    ask_probe(records, rounds, say, {"figure": "first partial", "paths": paths})


def measure_memory(records, rounds, say):
    """Peak memory of a worker that does chunks of 250,000 events, all eight queries in one."""
    paths = prepare(DATA["narrow zlib"], 4, say)
    for who in ("beampipe", "coffea"):
        ask_probe(records, rounds, say, {"figure": "memory", "who": who, "paths": paths})


def ask_probe(records, rounds, say, question):
    known = {key: question[key] for key in ("figure", "who") if key in question}
    for number in range(1, rounds + 1):
        if records.has(**known, round=number):
            continue
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.race.probes", json.dumps(question)],
            stdout=subprocess.PIPE,
            stderr=(BENCH / "stands.log").open("a"),
            text=True,
            cwd=PROJECT,
            env=environment() | stand_settings("probe"),
            check=False,
        )
        if done.returncode:
            say(f"{' '.join(known.values())} failed, see {BENCH / 'stands.log'}")
            return
        answer = json.loads(done.stdout.splitlines()[-1])
        say(f"{' '.join(known.values())}, round {number}: {answer}")
        records.add(**known, round=number, **answer)


FIGURES = (measure_cold_starts, measure_chunks, measure_first_partial, measure_memory)
