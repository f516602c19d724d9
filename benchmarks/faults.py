"""The same faults given to coffea's Runner with its DaskExecutor, and to Beampipe, side by side.

    python benchmarks/faults.py [--fault "worker killed" ...] [--page docs/explanation/chaos.md]

Each case has a LocalCluster of its own with two workers (nannies, one thread each), files of its
own, and a processor that notes every chunk that it begins; what comes back is compared with a
plain loop over the files. The table says what each gives: that is the measurement, not the time.
"""

import argparse
import contextlib
import datetime as dt
import importlib.metadata
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
import urllib.parse
import warnings
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

import dask  # noqa: E402
from coffea import processor  # noqa: E402
from coffea.nanoevents import BaseSchema  # noqa: E402
from distributed import Client, LocalCluster  # noqa: E402
from tests.chaos import flaky_server  # noqa: E402
from tests.chaos.analysis import process  # noqa: E402
from tests.chaos.data import (  # noqa: E402
    CHUNK,
    N_CHUNKS,
    N_EVENTS,
    ROOM,
    Content,
    make_files,
    zero_baskets,
)
from tests.chaos.driver import prepare_workers  # noqa: E402
from tests.chaos.records import describe_commit  # noqa: E402
from tests.chaos.trace import Trace  # noqa: E402

import beampipe  # noqa: E402

FILES = ("A/a1.root", "A/a2.root", "A/a3.root", "B/b1.root", "B/b2.root", "B/b3.root")
BROKEN = "A/a3.root"
GUILTY_EVENT = 1_234
MEMORY_LIMIT = 900_000_000
BYTES_PER_EVENT = 22_000_000  # a chunk needs 1.1 GB, half a chunk fits
GIVE_UP_S = 240
BEGIN, END = "<!-- make bench-faults: begin -->", "<!-- make bench-faults: end -->"


@dataclass
class Case:
    """One fault on one stage: files, trace, cluster."""

    folder: Path
    content: Content
    troubles: tuple = ()
    memory_limit: int = 0
    fileset: dict = None

    def __post_init__(self):
        self.data = self.folder / "data"
        self.trace = Trace(self.folder / "trace.txt")
        self.fileset = {
            dataset: [str(self.data / name) for name in FILES if name.startswith(dataset)]
            for dataset in ("A", "B")
        }

    def params(self):
        """What the processor is told."""
        return {
            "trace": str(self.trace.path),
            "troubles": list(self.troubles),
            "events_in_all": ROOM,
        }


class Coffea(processor.ProcessorABC):
    """The same function, as coffea's Runner wants it."""

    def __init__(self, params):
        self.params = params

    def process(self, events):
        """Do it."""
        return process(events, **self.params)

    def postprocess(self, accumulator):
        """Leave the sums as they are."""
        return accumulator


# -- faults -------------------------------------------------------------------------------------


@contextlib.contextmanager
def nothing(case):
    del case
    yield


@contextlib.contextmanager
def worker_killed(case):
    """SIGKILL when a third of the chunks have been begun."""

    def kill():
        while case.trace.n_begun() < N_CHUNKS // 3:
            time.sleep(0.02)
        os.kill(case.trace.lines("begin")[-1].pid, signal.SIGKILL)

    threading.Thread(target=kill, daemon=True).start()
    yield


@contextlib.contextmanager
def file_truncated(case):
    path = case.data / BROKEN
    os.truncate(path, path.stat().st_size // 2)
    yield


@contextlib.contextmanager
def file_missing(case):
    (case.data / BROKEN).unlink()
    yield


@contextlib.contextmanager
def bytes_zeroed(case):
    zero_baskets(case.data / BROKEN)
    yield


@contextlib.contextmanager
def out_of_memory(case):
    case.memory_limit = MEMORY_LIMIT
    trouble = {"event": GUILTY_EVENT, "what": "memory", "bytes_per_event": BYTES_PER_EVENT}
    case.troubles = (trouble,)
    yield


@contextlib.contextmanager
def transient_errors(case):
    """A web server that fails one request of twenty from the first chunk on."""
    flaky_server.Handler.folder = case.data
    flaky_server.Handler.rng = random.Random(7)
    server = flaky_server.Server(("127.0.0.1", 0), flaky_server.Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    place = f"http://127.0.0.1:{server.server_port}/"
    case.fileset = {
        dataset: [place + urllib.parse.quote(name) for name in FILES if name.startswith(dataset)]
        for dataset in ("A", "B")
    }

    def begin():
        while case.trace.n_begun() < 1:
            time.sleep(0.02)
        (case.folder / "rate").write_text("0.05")

    threading.Thread(target=begin, daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


FAULTS = {
    "none": nothing,
    "worker killed": worker_killed,
    "file truncated": file_truncated,
    "file missing": file_missing,
    "bytes zeroed in mid-file": bytes_zeroed,
    "chunk out of memory": out_of_memory,
    "transient errors of a web server": transient_errors,
}


# -- contestants --------------------------------------------------------------------------------


def run_coffea(case, client, *, skips):
    runner = processor.Runner(
        processor.DaskExecutor(client=client, status=False),
        schema=BaseSchema,
        chunksize=CHUNK,
        skipbadfiles=skips,
    )
    fileset = {
        name: {"files": dict.fromkeys(paths, "Events")} for name, paths in case.fileset.items()
    }
    return runner(fileset, Coffea(case.params())), ""


def run_beampipe(case, client, *, skips):
    result = beampipe.run(
        process,
        case.fileset,
        client=client,
        schema=BaseSchema,
        chunksize=CHUNK,
        params=case.params(),
        on_error="skip" if skips else "stop",
        run_dir=case.folder / "run",
        progress=False,
        fresh=True,
    )
    said = "" if result.is_complete else f"says incomplete, names {len(result.failures)}"
    return result.output, said


CONTESTANTS = {
    "coffea": (run_coffea, False),
    "coffea, `skipbadfiles=True`": (run_coffea, True),
    "Beampipe": (run_beampipe, False),
    'Beampipe, `on_error="skip"`': (run_beampipe, True),
}


@dataclass
class Row:
    """What one contestant gave."""

    verdict: str
    events: int
    executions: int
    detail: str = ""


def play(fault, run, *, skips, files, folder):
    """Give a contestant a fault."""
    shutil.copytree(files, folder / "data")
    case = Case(folder, Content.read(files))
    with (
        warnings.catch_warnings(record=True) as warned,
        FAULTS[fault](case),
        cluster_for(case) as client,
    ):
        warnings.simplefilter("always")
        try:
            output, said = run(case, client, skips=skips)
        except Exception as error:  # noqa: BLE001 (whatever it raises is the result)
            return judge_error(case, error)
    executions = round(sum(case.trace.executions().values()) / CHUNK, 1)
    events = output["events"] if output else 0
    if not case.content.expect().differences(output):
        return Row("exact", events, executions)
    if said:
        return Row("incomplete, and says so", events, executions, said)
    texts = [str(one.message) for one in warned if "kipping bad file" in str(one.message)]
    if texts:
        said = f"a Python warning: {' '.join(texts[0].split())[:80]}..."
        return Row("**incomplete**, looks complete", events, executions, said)
    return Row("**incomplete, silently**", events, executions)


def judge_error(case, error):
    executions = round(sum(case.trace.executions().values()) / CHUNK, 1)
    detail = f"{getattr(error, 'code', type(error).__name__)}"
    run_dir = case.folder / "run"
    if (run_dir / "run.json").exists():
        kept = beampipe.load(run_dir).accounting.events_processed
        return Row("error, work kept", kept, executions, detail)
    verdict = "error before any work" if executions == 0 else "**error, all lost**"
    return Row(verdict, 0, executions, detail)


@contextlib.contextmanager
def cluster_for(case):
    with (
        dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"}),
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            memory_limit=case.memory_limit,
            dashboard_address=":0",
            silence_logs=50,
        ) as cluster,
        Client(cluster) as client,
    ):
        watchdog = threading.Timer(GIVE_UP_S, client.close)
        watchdog.daemon = True
        watchdog.start()
        try:
            yield client
        finally:
            watchdog.cancel()


# -- telling ------------------------------------------------------------------------------------


def make_table(rows):
    names = ("coffea", "distributed", "uproot")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)
    today = dt.datetime.now(tz=dt.UTC).date().isoformat()
    lines = [
        (
            f"{today}; Beampipe at commit {describe_commit()}, {versions}; "
            f"{N_EVENTS:,} events in {N_CHUNKS} chunks, two workers."
        ),
        "",
        "| fault | who | what comes back | events | chunks executed | what is said |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {fault} | {who} | {row.verdict} | {row.events:,} | {row.executions:g} | {row.detail} |"
        for (fault, who), row in rows.items()
    ]
    return "\n".join(lines)


def write_page(page, table):
    before, _, rest = page.read_text().partition(BEGIN)
    page.write_text(f"{before}{BEGIN}\n{table}\n{END}{rest.partition(END)[2]}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--fault", action="append", choices=FAULTS, help="only this one")
    parser.add_argument("--page", type=Path, help="put the table between this page's marks")
    arguments = parser.parse_args()
    rows = {}
    prepare_workers()
    with tempfile.TemporaryDirectory(prefix="faults-", ignore_cleanup_errors=True) as name:
        top = Path(name)
        files = make_files(top / "files", FILES)
        for fault in arguments.fault or FAULTS:
            for who, (run, skips) in CONTESTANTS.items():
                folder = top / f"case-{len(rows)}"
                folder.mkdir()
                with contextlib.redirect_stdout(sys.stderr):  # coffea draws its progress there
                    row = play(fault, run, skips=skips, files=files, folder=folder)
                rows[fault, who] = row
                print(f"{fault}: {who}: {row}", file=sys.stderr, flush=True)
    table = make_table(rows)
    print(table)
    if arguments.page:
        write_page(arguments.page, table)


if __name__ == "__main__":
    main()
