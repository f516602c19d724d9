"""One run of one scenario: its files, its cluster, its drivers, and the blows it takes."""

import contextlib
import json
import os
import random
import signal
import subprocess
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil
from tests.chaos.clusters import BARE, EMBEDDED, LOCAL, NANNY, InDriver, Separate
from tests.chaos.data import N_CHUNKS, ROOM, Content, copy_files
from tests.chaos.nursery import PATIENCE_S, wait_until
from tests.chaos.trace import Blow, Trace, read_ledger

ANALYSIS = Path(__file__).with_name("analysis.py")
CHUNK_S = 0.06
CHECKPOINT_S = 0.3


@dataclass
class Driver:
    """A driver that is under way, and how it ended."""

    child: object
    answer: Path

    def told(self, patience_s=PATIENCE_S):
        """Wait for its end and give what it says of it."""
        code = self.child.wait(patience_s)
        if not self.answer.exists():
            raise AssertionError(f"the driver ended with {code}, without a word of its own")
        return json.loads(self.answer.read_text())

    def must_end(self, *expected):
        """Wait for its end, which must be one of these; gives what it says."""
        told = self.told()
        ends = {told["ended"], told.get("code")}
        assert ends & set(expected), f"the driver ended with {told}, not {expected}"
        return told


@dataclass
class Stage:
    """What a scenario has to play with.

    Attributes
    ----------
    rng : random.Random
        All chance comes from here, so a seed gives the same scenario (the machine's own timing
        excepted).
    blows : list of Blow
        When what was killed; what was not committed then may be done again.
    """

    folder: Path
    nursery: object
    files: Path
    rng: random.Random
    kind: str = EMBEDDED
    shared: dict = field(default_factory=dict)
    blows: list = field(default_factory=list)
    params: dict = field(default_factory=dict)
    options: dict = field(default_factory=dict)
    drivers: list = field(default_factory=list)
    child_options: dict = field(default_factory=dict)
    n_workers: int = 2
    notes: list = field(default_factory=list)

    def __post_init__(self):
        self.data = copy_files(self.files, self.folder / "data")
        self.content = Content.read(self.files)
        self.run_dir = self.folder / "the run"
        self.trace = Trace(self.folder / "trace.txt")
        self.stack = contextlib.ExitStack()
        self.cluster = None
        self.is_cluster_shared = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for driver in self.drivers:
            driver.child.end()
        if self.cluster is not None and not self.is_cluster_shared:
            self.cluster.end()
        self.stack.close()

    # -- starting ---------------------------------------------------------------------------

    def build_cluster(self, **options):
        """The cluster of this stage; separate ones outlive it, unless they have options."""
        options.setdefault("n_workers", self.n_workers)
        if self.kind in (EMBEDDED, LOCAL):
            self.cluster = InDriver(self.kind, **options)
        elif set(options) == {"n_workers"} and not self.child_options:
            name = (self.kind, self.n_workers)
            if name not in self.shared:
                place = Path(self.shared["folder"]) / f"{self.kind}-{self.n_workers}"
                self.shared[name] = Separate(self.nursery, place, self.kind, **options)
            self.cluster = self.shared[name].mend()
            self.is_cluster_shared = True
        else:
            options.setdefault("options", self.child_options)
            self.cluster = Separate(self.nursery, self.folder / "cluster", self.kind, **options)
            self.cluster.start()
        return self.cluster

    def drive(self, action="run", *, cluster=None, gate=None, run_dir=None, **options):
        """Start a driver.

        Parameters
        ----------
        gate : (str, int), optional
            Where it is to stand still, and the how manyth time that it comes there.
        options
            Of `beampipe.run` or `resume`; ``more_params`` are for the processor.
        """
        if self.cluster is None and cluster is None:
            self.build_cluster()
        number = len(self.drivers) + 1
        place = self.folder / f"driver-{number}"
        place.mkdir()
        config = {
            "action": action,
            "answer": str(place / "answer.json"),
            "run_dir": str(run_dir or self.run_dir),
            "cluster": (cluster or self.cluster).describe(),
            "options": options,
        }
        if action == "run":
            config |= self._what_to_run(options)
        if gate is not None:
            point, nth = gate
            reached, go = str(place / "reached"), str(place / "go")
            config["gates"] = [{"point": point, "nth": nth, "reached": reached, "go": go}]
        (place / "config.json").write_text(json.dumps(config))
        driver = Driver(
            self.nursery.start(
                "tests.chaos.driver:main",
                [place / "config.json"],
                place / "output.log",
                **{**self._surroundings(), **self.child_options},
            ),
            place / "answer.json",
        )
        self.drivers.append(driver)
        return driver

    def _what_to_run(self, options):
        params = {
            "trace": str(self.trace.path),
            "chunk_s": CHUNK_S,
            "events_in_all": ROOM,
            **self.params,
            **options.pop("more_params", {}),
        }
        fileset = getattr(self, "fileset", None) or {
            "A": str(self.data / "A"),
            "B": str(self.data / "B"),
        }
        return {
            "processor": f"{ANALYSIS}:process",
            "fileset": fileset,
            "options": {
                "params": params,
                "chunksize": 50,
                "checkpoint": CHECKPOINT_S,
                "fresh": True,
                **self.options,
                **options,
            },
        }

    def _surroundings(self):
        temporary = Path(self.shared["folder"]) / "tmp"  # short: sockets lie in it
        temporary.mkdir(exist_ok=True)
        variables = {
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            "BEAMPIPE_COLUMN_DIR": str(self.folder / "columns"),
            "XDG_CONFIG_HOME": str(self.folder / "config"),
            "TMPDIR": str(temporary),
            "DASK_DISTRIBUTED__WORKER__MULTIPROCESSING_METHOD": "forkserver",
        }
        return {"environment": variables, "cwd": str(self.folder)}

    # -- waiting ----------------------------------------------------------------------------

    def wait_for_chunks(self, n, driver=None):
        """Wait until so many chunks have been begun (or the driver has ended)."""
        wait_until(
            lambda: self.trace.n_begun() >= n or not (driver or self.drivers[-1]).child.is_running,
            f"{n} chunks are begun (there are {self.trace.n_begun()})",
        )

    def wait_for_random_chunk(self, least=1, most=N_CHUNKS - 2):
        """Wait until some moment in the run."""
        self.wait_for_chunks(self.rng.randint(least, most))
        time.sleep(self.rng.uniform(0, CHUNK_S))

    def wait_for_gate(self, driver):
        """Wait until the driver stands at its gate; False if it ended without."""
        reached = driver.answer.with_name("reached")
        wait_until(lambda: reached.exists() or not driver.child.is_running, "the gate is reached")
        return reached.exists()

    def wait_for_commit(self):
        wait_until(lambda: read_ledger(self.run_dir), "something is committed")

    # -- what is there ----------------------------------------------------------------------

    def worker_pids(self):
        """The living processes that have begun chunks, the latest first."""
        pids = dict.fromkeys(line.pid for line in reversed(self.trace.lines("begin")))
        return [pid for pid in pids if is_alive(pid)]

    def a_worker(self):
        pids = wait_until(self.worker_pids, "a worker is at work")
        return self.rng.choice(pids)

    def committed(self):
        return read_ledger(self.run_dir)

    def url(self, name):
        return self.data / name

    # -- blows ------------------------------------------------------------------------------

    def kill(self, *pids, number=signal.SIGKILL, workers=()):
        """Kill processes; note the blow that this is to the work of `workers`."""
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        self.blow(workers)

    def kill_a_worker(self):
        pid = self.a_worker()
        self.kill(pid, workers=(pid,))
        return pid

    def kill_driver(self, driver):
        """Kill it; what that costs is found out when another one resumes."""
        driver.child.kill()
        driver.child.wait()

    def blow(self, workers=()):
        """Note that work may be lost now."""
        self.blows.append(Blow(time.time(), tuple(workers)))

    def prolong_blow(self, pid=None):
        """The last blow lasts until now: what was begun since may be lost as well.

        With a `pid`, it lasts until this process, or the run, has ended.
        """
        if pid is not None:
            wait_until(
                lambda: not is_alive(pid) or not self.drivers[-1].child.is_running, "its end"
            )
        last = self.blows[-1]
        self.blows[-1] = replace(last, until=time.time())

    # -- finishing --------------------------------------------------------------------------

    def resume(self, **options):
        """Resume to the end; all that was begun and not committed until now may be done again."""
        self.blows.append(Blow(time.time(), threads=self.n_workers))
        return self.drive("resume", **options)

    def mount(self, size):
        """A small disk of its own for the run directory."""
        place = self.folder / "disk"
        place.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place], check=True)
        self.stack.callback(subprocess.run, ["umount", "--lazy", place], check=False)
        self.run_dir = place / "the run"
        return place

    def remount(self, options):
        place = self.folder / "disk"
        subprocess.run(["mount", "-o", f"remount,{options}", place], check=True)

    def story(self):
        """All that was written down, for whoever must find out what went wrong."""
        parts = [f"-- driver {i}\n{d.child.text()[-6000:]}" for i, d in enumerate(self.drivers, 1)]
        answers = [d.answer.read_text() for d in self.drivers if d.answer.exists()]
        logs = self.cluster.logs() if self.cluster is not None else ""
        return "\n".join([*parts, *answers, *self.notes, logs])


def is_alive(pid):
    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


SEPARATE = (NANNY, BARE)
ALL = (EMBEDDED, LOCAL, NANNY, BARE)
