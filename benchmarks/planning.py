"""How long planning takes: 1,000 local files cold and warm, 40,000 files from the cache.

    python benchmarks/planning.py [--files 1000] [--repeats 5]

Prints medians. "Cold" opens every file (the operating system has them in memory), "warm" takes
the counts from the metadata cache; both without the import of uproot, which is shown by itself.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from beampipe.datasets.chunks import chunk_range
from beampipe.datasets.file_states import FileState
from beampipe.datasets.fileset import read_fileset
from beampipe.datasets.metadata_cache import FileMetadata, MetadataCache
from beampipe.datasets.model import DatasetPlan, FileEntry, Plan
from beampipe.datasets.planning import cut_file, make_plan, plan_digest, plan_to_json

N_CACHED = 40_000


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="beampipe-planning-"))
    try:
        import_s = [measure_import() for _ in range(arguments.repeats)]
        show("import uproot (once per process)", import_s)
        make_tiny_files(folder / "tiny", arguments.files)
        make_nano_files(folder / "nano", arguments.files)
        for name, what in (("tiny", "2 branches"), ("nano", "2,500 branches")):
            measure_planning(folder / name, what, arguments.repeats)
        measure_cache(folder / "cache", arguments.repeats)
        measure_big_plan(arguments.repeats)
    finally:
        shutil.rmtree(folder)


def show(what, times):
    times = sorted(times)
    print(
        f"{what:<58} {1000 * statistics.median(times):9.1f} ms"
        f"   ({1000 * times[0]:.1f} to {1000 * times[-1]:.1f})"
    )


def measure(function, repeats):
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        function()
        times.append(time.perf_counter() - began)
    return times


def measure_import():
    code = "import time; t = time.perf_counter(); import uproot; print(time.perf_counter() - t)"
    return float(subprocess.check_output([sys.executable, "-c", code], text=True))


def make_tiny_files(folder, n_files):
    from beampipe.testing.tiny_files import write_tree_file

    for i in range(n_files):
        write_tree_file(folder / f"f{i}.root", compression="zlib")


def make_nano_files(folder, n_files):
    """Make one file with many branches, and copies of it that differ in their uuid alone."""
    import numpy as np
    import uproot

    folder.mkdir()
    first = folder / "f0.root"
    columns = {f"Collection{i // 20}_column_{i}": np.arange(20.0) for i in range(2500)}
    with uproot.recreate(first) as file:
        file.mktree("Events", {name: values.dtype for name, values in columns.items()})
        file["Events"].extend(columns)
    with uproot.open(first) as file:
        uuid = file.file.uuid.bytes
    data = first.read_bytes()
    at = data.index(uuid)
    for i in range(1, n_files):
        copy = data[:at] + i.to_bytes(16, "big") + data[at + 16 :]
        (folder / f"f{i}.root").write_bytes(copy)


def measure_planning(folder, what, repeats):
    cache = folder.parent / f"cache-{folder.name}"
    read_all(folder)

    def plan(cache_folder):
        return make_plan(read_fileset(folder), cache=MetadataCache(cache_folder))

    plan(cache)
    n_files = len(list(folder.iterdir()))

    def plan_cold():
        shutil.rmtree(cache)
        plan(cache)

    show(f"cold: {n_files:,} files of {what}", measure(plan_cold, repeats))
    show(f"warm: {n_files:,} files of {what}", measure(lambda: plan(cache), repeats))


def read_all(folder):
    for path in folder.iterdir():
        path.read_bytes()


def measure_cache(folder, repeats):
    urls = [f"root://eos.example.org//store/mc/file_{i}.root" for i in range(N_CACHED)]
    state, found = FileState(10**9, "1795212626000000000"), FileMetadata("Events", "u", 1, "TTree")
    cache = MetadataCache(folder)
    for url in urls:
        cache.put(url, None, state, found)
    cache.flush()
    show(
        f"load a cache of {N_CACHED:,} files", measure(lambda: len(MetadataCache(folder)), repeats)
    )

    def look_up():
        cache = MetadataCache(folder)
        for url in urls:
            cache.get(url, None, state)

    show(f"load it and look up all {N_CACHED:,}", measure(look_up, repeats))


def measure_big_plan(repeats):
    entries = [
        FileEntry("A", (f"root://eos//store/{i}.root",), "Events", f"{i:032x}", 25 * 250_000)
        for i in range(N_CACHED)
    ]

    def cut():
        files = tuple(cut_file(file, chunksize=250_000) for file in entries)
        return Plan((DatasetPlan("A", files),), 250_000)

    plan = cut()
    show(f"cut {N_CACHED:,} files into {plan.n_chunks:,} chunks", measure(cut, repeats))
    text = json.dumps(plan_to_json(plan))
    what = f"write that plan as JSON ({len(text) / 1e6:.1f} MB)"
    show(what, measure(lambda: json.dumps(plan_to_json(plan)), repeats))
    show("its digest", measure(lambda: plan_digest(plan), repeats))
    boundaries = list(range(0, 25 * 250_000 + 1, 12_500))
    chunks = [chunk for chunk, _ in zip(plan.chunks(), range(100_000), strict=False)]
    show(
        "ranges of 100,000 chunks in files of 500 clusters",
        measure(lambda: [chunk_range(chunk, boundaries) for chunk in chunks], repeats),
    )


if __name__ == "__main__":
    main()
