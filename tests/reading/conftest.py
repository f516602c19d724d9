"""Files and chunks that the tests of this room read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot

from beampipe.datasets.counting import count_file
from beampipe.datasets.model import Chunk, FileEntry, FilePlan, FileSpec
from beampipe.reading.reader import Reader

HOSTILE = "Z → µµ 'x' \"q\" 100% #1 [a].root"


@pytest.fixture
def reader_of() -> Iterator[Callable[..., Reader]]:
    """Make readers that are closed when the test is over."""
    readers: list[Reader] = []

    def make(schema: Any, **options: Any) -> Reader:
        readers.append(Reader(schema, **options))
        return readers[-1]

    yield make
    for reader in readers:
        reader.close()


@pytest.fixture
def entry_of() -> Callable[..., FileEntry]:
    """Count a file, or the first of several replicas."""

    def count(*paths: Path, tree: str | None = None) -> FileEntry:
        return count_file(FileSpec(tuple(map(str, paths)), tree), "DY")

    return count


@pytest.fixture
def chunks_of() -> Callable[..., list[Chunk]]:
    """Cut a counted file into `n` chunks, or into given steps."""

    def cut(entry: FileEntry, n: int = 1, *, steps: Any = None) -> list[Chunk]:
        if steps is not None:
            n = len(steps)
        plan = FilePlan(entry, n, n, entry.entries, steps=steps)
        return [Chunk(plan, k) for k in range(n)]

    return cut


@pytest.fixture
def write_events(tmp_path: Path) -> Callable[..., Path]:
    """Write a NanoAOD-like tree whose clusters have the given sizes."""

    def write(
        name: str = HOSTILE,
        *,
        clusters: tuple[int, ...] = (100, 60, 140),
        tree: str = "Events",
        scale: float = 1.0,
    ) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with uproot.recreate(path) as file:
            start = 0
            for size in clusters:
                columns = _columns(start, start + size, scale)
                if start == 0:
                    file.mktree(tree, {key: value.type for key, value in columns.items()})
                file[tree].extend(columns)
                start += size
        return path

    return write


def _columns(start: int, stop: int, scale: float) -> dict[str, ak.Array]:
    event = np.arange(start, stop, dtype=np.int64)
    muons = ak.unflatten(scale * np.arange(int((event % 4).sum()), dtype=np.float32) + 1, event % 4)
    zero = muons * 0
    kinematics = {"pt": muons, "eta": zero, "phi": zero, "mass": zero}
    return {
        "run": ak.Array(np.ones(len(event), dtype=np.uint32)),
        "luminosityBlock": ak.Array(np.ones(len(event), dtype=np.uint32)),
        "event": ak.Array(event),
        "genWeight": ak.Array(np.where(event % 5 == 0, -1.0, 1.0)),
        "MET_pt": ak.Array((scale * event).astype(np.float32)),
        "MET_phi": ak.Array(np.zeros(len(event), dtype=np.float32)),
        "Muon": ak.zip(kinematics | {"charge": ak.values_astype(zero, np.int32)}),
    }


@pytest.fixture
def twins(tmp_path: Path) -> Path:
    """A file with a tree ``t``, of whose branches two are called ``one_a``."""
    path = tmp_path / "twins.root"
    with uproot.recreate(path, compression=None) as file:
        file.mktree("t", {"one_a": np.int32, "one_b": np.float64, "other": np.int32})
        columns = {"one_a": [1, 2, 3], "one_b": [0.5] * 3, "other": [7, 8, 9]}
        file["t"].extend({name: np.array(column) for name, column in columns.items()})
    path.write_bytes(path.read_bytes().replace(b"one_b", b"one_a"))
    with uproot.open(path)["t"] as tree:
        assert tree.keys() == ["one_a", "one_a", "other"]
    return path


@pytest.fixture
def break_basket() -> Callable[..., None]:
    """Put zeros where the bytes of a branch's basket lie, and keep the file's times."""

    def zero(path: Path, branch: str, index: int, *, tree: str = "Events") -> None:
        with uproot.open({str(path): tree}) as found:
            key = found[branch].basket_key(index)
            start, size = key.fSeekKey + key.fKeylen, key.fNbytes - key.fKeylen
        before = path.stat()
        with path.open("r+b") as file:
            file.seek(start)
            file.write(b"\0" * size)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    return zero
