"""The files of the scenarios, and what a plain loop over them gives."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import uproot
from tests.chaos.analysis import BLOCK, CELLS

CHUNK = 50
CHUNKS_PER_FILE = 10
FILES = ("A/a1.root", "A/a2.root", "A/a3.root", "B/b1.root", "B/b2.root", "B/b3 µ 'x'.root")
EVENTS_PER_FILE = CHUNK * CHUNKS_PER_FILE
N_CHUNKS = CHUNKS_PER_FILE * len(FILES)
N_EVENTS = CHUNK * N_CHUNKS
ROOM = 2 * N_EVENTS  # event numbers go up to this, so that files may grow


def make_files(folder, names=FILES, seed=20261128):
    """Write the files: signed weights over six orders of magnitude, every event with a number."""
    rng = np.random.default_rng(seed)
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, number * EVENTS_PER_FILE, EVENTS_PER_FILE, rng)
    return folder


def write_file(path, first, events, rng):
    """Write one file with a cluster per chunk."""
    types = {"event": np.int64, "x": np.int32, "weight": np.float64}
    with uproot.recreate(path, compression=uproot.ZLIB(1)) as file:
        tree = file.mktree("Events", types)
        for start in range(first, first + events, CHUNK):
            n = min(CHUNK, first + events - start)
            weights = rng.normal(size=n) * 10 ** rng.uniform(-3, 3, size=n)
            tree.extend(
                {
                    "event": np.arange(start, start + n),
                    "x": rng.integers(-1, CELLS + 1, size=n).astype(np.int32),
                    "weight": weights,
                }
            )


@dataclass
class Content:
    """What is in the files, read once, by a loop that knows nothing of Beampipe.

    Attributes
    ----------
    columns : dict
        By file uuid: arrays ``event``, ``x``, ``weight``.
    names : dict
        By file uuid: the name of the file below the folder.
    """

    columns: dict
    names: dict

    @classmethod
    def read(cls, folder):
        columns, names = {}, {}
        for path in sorted(folder.rglob("*.root")):
            name = str(path.relative_to(folder))
            with uproot.open(path) as file:
                uuid = str(file.file.uuid)
                tree = file["Events"]
                columns[uuid] = {key: tree[key].array(library="np") for key in tree.keys()}  # noqa: SIM118 (a TTree is no dict)
                names[uuid] = name
        return cls(columns, names)

    def uuid_of(self, name):
        return next(uuid for uuid, this in self.names.items() if this == name)

    def where_is(self, event):
        """The file uuid and the entry of an event."""
        for uuid, columns in self.columns.items():
            found = np.flatnonzero(columns["event"] == event)
            if len(found):
                return uuid, int(found[0])
        raise LookupError(event)

    def expect(self, ranges=None):
        """What the processor must give for these entry ranges (uuid, start, stop); all if None."""
        if ranges is None:
            ranges = [(uuid, 0, len(columns["x"])) for uuid, columns in self.columns.items()]
        total = Expected()
        for uuid, start, stop in sorted(ranges):
            total.add({key: array[start:stop] for key, array in self.columns[uuid].items()})
        return total


@dataclass
class Expected:
    """Sums over events, with bins for what lies below and above."""

    events: int = 0
    sum_of_ids: int = 0
    x: np.ndarray = None
    weighted: np.ndarray = None
    variances: np.ndarray = None
    magnitude: np.ndarray = None  # Σ|w|, for the tolerance
    which: np.ndarray = None

    def __post_init__(self):
        self.x = np.zeros(CELLS + 2, np.int64)
        self.weighted, self.variances, self.magnitude = np.zeros((3, CELLS + 2))
        self.which = np.zeros(ROOM // BLOCK, np.int64)

    def add(self, columns):
        self.events += len(columns["x"])
        self.sum_of_ids += int(columns["event"].sum())
        for event, x, weight in zip(*(columns[k] for k in ("event", "x", "weight")), strict=True):
            cell = min(max(int(x), -1), CELLS) + 1
            self.x[cell] += 1
            self.weighted[cell] += weight
            self.variances[cell] += weight * weight
            self.magnitude[cell] += abs(weight)
            self.which[event // BLOCK] += 1

    def differences(self, output):
        """Say where an output of the processor differs; nothing if it is right."""
        if output is None:
            return [] if self.events == 0 else ["there is no output"]
        exact = {
            "events": (output["events"], self.events),
            "sum_of_ids": (output["sum_of_ids"], self.sum_of_ids),
            "x": (output["x"].values(flow=True), self.x),
            "which": (output["which"].values(flow=False), self.which),
        }
        wrong = [name for name, (found, wanted) in exact.items() if not np.all(found == wanted)]
        weighted = output["weighted"].view(flow=True)
        if np.any(np.abs(weighted.value - self.weighted) > 1e-12 * self.magnitude):
            wrong.append("weighted")
        if np.any(np.abs(weighted.variance - self.variances) > 1e-12 * self.variances):
            wrong.append("variances")
        return [f"{name} differs: {self.describe(name, output)}" for name in wrong]

    def describe(self, name, output):
        if name != "which":
            found = output[name] if name in ("events", "sum_of_ids") else "bins"
            return f"{found} for {getattr(self, name)}" if found != "bins" else "in some bins"
        found = output["which"].values(flow=False)
        blocks = np.flatnonzero(found != self.which)
        return ", ".join(
            f"events from {block * BLOCK}: {int(found[block])} for {int(self.which[block])}"
            for block in blocks[:5]
        )


def zero_baskets(path, fraction=0.2):
    """Overwrite the baskets of some clusters in the middle of a file with zeros."""
    with uproot.open(path) as file:
        tree = file["Events"]
        baskets = [
            (int(seek), int(size))
            for branch in tree.branches
            for seek, size in zip(
                branch.member("fBasketSeek"), branch.member("fBasketBytes"), strict=False
            )
            if size
        ]
    baskets.sort()
    count = max(1, round(fraction * len(baskets)))
    first = (len(baskets) - count) // 2
    with path.open("r+b") as file:
        for seek, size in baskets[first : first + count]:
            file.seek(seek)
            file.write(bytes(size))


def copy_files(folder, target):
    """Give a scenario files of its own, to be damaged."""
    shutil.copytree(folder, target)
    return Path(target)
