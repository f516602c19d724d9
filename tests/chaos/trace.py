"""What was really executed, and what was committed when: the run looked at from outside."""

import json
import zipfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Line:
    """One line of the trace."""

    what: str  # begin, end, trouble
    time: float
    pid: int
    uuid: str
    start: int
    stop: int
    key: str

    def events(self):
        return [(self.uuid, entry) for entry in range(self.start, self.stop)]

    @property
    def run(self):
        """What the keys of one driver's bundles begin with."""
        return self.key.rpartition("-bundle-")[0]


@dataclass
class Trace:
    """The file in which the processor notes what it does."""

    path: Path

    def lines(self, what=None):
        if not self.path.exists():
            return []
        found = []
        # A line that is being written has no end yet.
        for text in self.path.read_text().rpartition("\n")[0].splitlines():
            kind, time, pid, uuid, start, stop, key = text.split(" ", 6)
            if what in (None, kind):
                found.append(Line(kind, float(time), int(pid), uuid, int(start), int(stop), key))
        return found

    def n_begun(self):
        return len(self.lines("begin"))

    def executions(self):
        """How often every event was in a chunk that was begun."""
        return Counter(event for line in self.lines("begin") for event in line.events())


@dataclass(frozen=True)
class Committed:
    """One segment, read without any code of the engine."""

    number: int
    time: float
    done: tuple
    failed: tuple
    split: tuple = ()

    def events(self):
        return [(uuid, entry) for uuid, start, stop in self.done for entry in range(start, stop)]


def read_ledger(run_dir):
    """The segments that count: claimed, not void, whole."""
    found = []
    for path in sorted((run_dir / "segments").glob("*.zip")):
        claim = run_dir / "claims" / path.stem
        if not claim.exists() or claim.with_suffix(".void").exists():
            continue
        try:
            with zipfile.ZipFile(path) as archive:
                manifest = json.loads(archive.read("manifest.json"))
        except (OSError, KeyError, ValueError, zipfile.BadZipFile):
            continue
        done = tuple((uuid, start, stop) for uuid, _, _, start, stop in manifest["done"])
        failed = tuple(manifest["failed"])
        split = tuple(manifest.get("split", ()))
        found.append(Committed(manifest["segment"], path.stat().st_mtime, done, failed, split))
    return found


@dataclass(frozen=True)
class Blow:
    """A moment at which work may have been lost.

    Attributes
    ----------
    pids : tuple of int
        The workers that died; empty where all that was not committed may be lost.
    until : float
        Work begun before this may be lost; later than `time` where a driver was killed and its
        workers went on for a while.
    goes_on : bool
        Whether they only were cut off, and go on with what they have. Traces show it: all that
        was done twice in "link cut" beyond the bound was begun by the worker that was cut off,
        in the seconds after it, from the bundles that waited there.
    threads : int
        Of the workers of a driver that was killed: each may begin one more chunk for it before
        the scheduler knows. Traces show one or two such chunks in a tenth of the runs.
    """

    time: float
    pids: tuple = ()
    until: float = 0.0
    goes_on: bool = False
    threads: int = 0


@dataclass(frozen=True)
class Redone:
    """Work done again, and what it is held against, in chunks."""

    redone: float
    bound: float
    on_the_dead: float


def count_redone(trace, ledger, blows, chunk):
    """Count what was executed more than once; each blow allows what was not committed at it."""
    redone = sum(count - 1 for count in trace.executions().values())
    begun = trace.lines("begin")
    bound = on_the_dead = 0
    for blow in blows:
        kept = {
            event for segment in ledger if segment.time <= blow.time for event in segment.events()
        }
        until = max(blow.time, blow.until)
        lost = Counter(event for line in begun if line.time <= until for event in line.events())
        bound += sum(1 for event in lost if event not in kept)
        if blow.goes_on:  # nobody can tell it that nobody waits
            later = (line for line in begun if line.time > until and line.pid in blow.pids)
            bound += sum(line.stop - line.start for line in later)
        driven = {line.run for line in begun if line.time <= until}
        late = [
            line.stop - line.start for line in begun if line.time > until and line.run in driven
        ]
        bound += sum(late[: blow.threads])
        on_the_dead += sum(
            1
            for line in begun
            if line.time <= until and line.pid in blow.pids
            for event in line.events()
            if event not in kept
        )
    return Redone(redone / chunk, bound / chunk, on_the_dead / chunk)
