"""The files that are read: made by `beampipe.make_data`, kept in `build/bench/data`."""

import uuid
from pathlib import Path

import uproot
from benchmarks.race.places import BENCH

import beampipe

SEED = 4


def prepare(data, n_files, say=lambda _: None):
    """See that there are `n_files` files of a kind; gives their paths."""
    folder = BENCH / "data" / data.name.replace(" ", "-")
    made = min(n_files, data.distinct)
    if not (folder / f"events_{made - 1:03d}.root").exists():
        say(f"making {made} files: {data.name}")
    originals = beampipe.make_data(
        folder,
        files=made,
        events=data.events,
        extra_branches=data.extra_branches,
        compression=data.compression,
        rntuple=data.rntuple,
        seed=SEED,
    )
    copies = folder / "copies"
    copies.mkdir(exist_ok=True)
    paths = list(originals)
    for number in range(made, n_files):
        original, path = originals[number % made], copies / f"copy_{number:03d}.root"
        if not path.exists():
            copy(original, path, number)
        paths.append(path)
    return [str(path) for path in paths]


def copy(original, path, number):
    """Copy a file under another uuid, so that nothing takes it for the same."""
    with uproot.open(original) as file:
        old = file.file.uuid.bytes
    new = uuid.uuid5(uuid.UUID(bytes=old), str(number)).bytes
    growing = path.with_suffix(".part")
    content = original.read_bytes()
    at = content.index(old)
    growing.write_bytes(content[:at] + new + content[at + len(old) :])
    growing.replace(path)


def read_through(paths):
    """Have the operating system hold the files in memory."""
    for path in paths:
        with Path(path).open("rb", buffering=0) as file:
            while file.read(1 << 24):
                pass
