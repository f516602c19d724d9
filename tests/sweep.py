"""Every column of every file in a folder, as Beampipe reads it and as uproot does.

``python -m tests.sweep FOLDER``. Made for other people's collections of odd files (those of
scikit-hep-testdata, say), which are not ours to keep. What uproot cannot read is not held against
us, nor that its columns of no entries are sometimes of another type than the others.
"""

from __future__ import annotations

import argparse
import resource
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import awkward as ak
import uproot

from beampipe.datasets.counting import count_file
from beampipe.datasets.model import Chunk, FilePlan, FileSpec
from beampipe.datasets.trees import list_trees
from beampipe.errors import BeampipeError
from beampipe.reading.reader import Reader
from beampipe.reading.trees import is_rntuple

MOST_BYTES = 8_000_000_000  # broken objects make uproot ask for any amount
MOST_S = 600


def compare_file(path: str) -> list[str]:
    """Give what differs."""
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    signal.alarm(MOST_S)
    with uproot.open(path) as file:
        names = list_trees(file)
    found = []
    for name in names:
        try:
            found += [f"{name}: {text}" for text in compare_tree(path, name)]
        except BeampipeError as error:
            found.append(f"{name}: {error}")
    return found


def compare_tree(path: str, name: str) -> Iterator[str]:
    """Compare all of a tree and its middle, with all columns and with those that are used."""
    entry = count_file(FileSpec((path,), name), "sweep")
    third = entry.entries // 3
    with uproot.open({path: name}) as tree:
        give = _giver(tree)
        for steps in ((0, entry.entries), (third, 2 * third)):
            chunk = Chunk(FilePlan(entry, 1, 1, entry.entries, steps=(steps,)), 0)
            reader = Reader(None)
            with reader.read(chunk, {}) as data:
                fields = data.events.fields
                for field in fields:
                    read = partial(_column, data.events, field)
                    yield from _compare(f"{field} of {steps}", read, partial(give, field, *steps))
            for field in fields[:: max(1, len(fields) // 15)]:
                for _ in range(2):
                    read = partial(_call, reader, chunk, field)
                    what = f"{field} of {steps} alone"
                    yield from _compare(what, read, partial(give, field, *steps))
            reader.close()


def _giver(tree: Any) -> Callable[[str, int, int], ak.Array]:
    if is_rntuple(tree):
        whole = tree.arrays()
        return lambda field, start, stop: whole[field][start:stop]
    return lambda field, start, stop: tree[field].array(entry_start=start, entry_stop=stop)


def _column(events: Any, field: str) -> ak.Array:
    return ak.materialize(events[field])


def _call(reader: Reader, chunk: Chunk, field: str) -> ak.Array:
    with reader.read(chunk, {}) as data:
        found: ak.Array = data.call(lambda events: _column(events, field))
        return found


def _compare(
    what: str, read: Callable[[], ak.Array], give: Callable[[], ak.Array]
) -> Iterator[str]:
    try:
        due = give()
    except Exception:  # noqa: BLE001  # whatever uproot stumbles over
        return
    try:
        found = read()
    except Exception as error:  # noqa: BLE001  # that is what it looks for
        if len(due) or not isinstance(error, BeampipeError):
            yield f"{what}: {error!r:.300}"
        return
    if not (len(found) or len(due)):
        return
    if found.type != due.type:
        yield f"{what}: {found.type} where uproot has {due.type}"
    elif not ak.array_equal(found, due, equal_nan=True, dtype_exact=True):
        yield f"{what}: other values"


def main() -> int:
    """Compare all files; 1 where anything differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    paths = sorted(map(str, parser.parse_args().folder.rglob("*.root")))
    n_bad = 0
    for path in paths:  # a process for each: one that dies takes no other with it
        with ProcessPoolExecutor(1) as pool:
            try:
                found = pool.submit(compare_file, path).result()
            except Exception as error:  # noqa: BLE001  # it died, or the file is no ROOT file
                found = [repr(error)]
        n_bad += bool(found)
        for text in found:
            sys.stdout.write(f"{path}: {text}\n")
        sys.stdout.flush()
    sys.stdout.write(f"{len(paths)} files, {n_bad} of them with differences\n")
    return 1 if n_bad or not paths else 0


if __name__ == "__main__":
    sys.exit(main())
