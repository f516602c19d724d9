"""Kernels travel with a digest, and are compiled once for a machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numba
import pytest

import beampipe
from beampipe.execution.kernels import digest_kernel, is_kernel
from beampipe.execution.processors import load_processor
from beampipe.execution.shipping import pickle_processor

SOURCES = Path(beampipe.__file__).parents[1]
ANALYSIS = """
import numba
import cuts

@numba.njit(cache=True)
def passes(x):
    return x > cuts.LOW

@numba.njit(cache=True)
def count(values):
    n = 0
    for x in values:
        n += passes(x)
    return n

def process(events):
    import numpy as np

    return {"n": int(count(np.asarray(events, float)))}

def stats():
    return sum(count.stats.cache_hits.values()), sum(count.stats.cache_misses.values())
"""
# What a worker does: it unpacks the processor for every chunk, and has none of the user's files.
WORKER = """
import json, sys, cloudpickle
from beampipe.execution.kernels import warm_kernels

packed = sys.stdin.buffer.read()
kernels = []
for _ in range(2):
    processor, _ = cloudpickle.loads(packed)
    warm_kernels()
    kernel = processor.target.__globals__["count"]
    kernels.append(kernel)
    loaded = len(kernel.signatures) if len(kernels) == 1 else loaded
    output = processor.process([1, 2, 3])
stats = kernel.stats
print(json.dumps({
    "n": output["n"],
    "same": kernels[0] is kernels[1],
    "loaded before the first call": loaded,
    "hits": sum(stats.cache_hits.values()),
    "misses": sum(stats.cache_misses.values()),
}))
"""


@pytest.fixture
def analysis(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    folder = tmp_path / "analysis µ's"
    folder.mkdir()
    yield folder
    for name in set(sys.modules) - before:
        if str(folder) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def pack(folder, low, program=ANALYSIS):
    (folder / "cuts.py").write_text(f"LOW = {low}\n")
    (folder / "analysis.py").write_text(program)
    for name in ("cuts", "analysis"):
        sys.modules.pop(name, None)
    sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
    try:
        return pickle_processor(load_processor(f"{folder / 'analysis.py'}:process"), None)
    finally:
        sys.dont_write_bytecode = before


def work(payload, cache, worker=WORKER):
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(SOURCES),
        "XDG_CACHE_HOME": str(cache),
        "HOME": str(cache),
    }
    done = subprocess.run(
        [sys.executable, "-c", worker],
        input=payload,
        capture_output=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


def test_a_kernel_is_compiled_once_for_a_machine(analysis, tmp_path):
    payload = pack(analysis, low=1.5)
    first = work(payload, tmp_path / "cache")
    assert first == {
        "n": 2,
        "same": True,
        "loaded before the first call": 0,
        "hits": 0,
        "misses": 1,
    }
    # Another worker, and another driver process would give other bytes for the same code.
    again = work(pack(analysis, low=1.5), tmp_path / "cache")
    assert again == first | {"loaded before the first call": 1, "hits": 1, "misses": 0}


def test_a_constant_of_another_file_makes_another_kernel(analysis, tmp_path):
    work(pack(analysis, low=1.5), tmp_path / "cache")
    # Numba's own cache would answer 2: it looks at the file of the function alone.
    changed = work(pack(analysis, low=2.5), tmp_path / "cache")
    assert (changed["n"], changed["misses"]) == (1, 1)


def test_what_was_torn_on_disk_is_compiled_again(analysis, tmp_path):
    payload = pack(analysis, low=1.5)
    work(payload, tmp_path / "cache")
    files = list((tmp_path / "cache").rglob("*.compiled"))
    assert files
    for path in files:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    again = work(payload, tmp_path / "cache")
    assert (again["n"], again["hits"], again["misses"]) == (2, 0, 1)
    assert work(payload, tmp_path / "cache")["hits"] == 1


def test_only_kernels_that_are_to_be_kept_are_ours():
    kept = numba.njit(cache=True)(lambda x: x)
    assert is_kernel(kept)
    assert not is_kernel(numba.njit(lambda x: x))
    assert not is_kernel(numba.njit("int64(int64)", cache=True)(lambda x: x))
    assert not is_kernel(len)
    assert not is_kernel(None)


def make(value):
    @numba.njit(cache=True)
    def kernel(x):
        return x + value

    return kernel


def test_a_digest_tells_values_apart_and_kernels_of_one_code_not():
    assert digest_kernel(make(1)) == digest_kernel(make(1)) != ""
    assert digest_kernel(make(1)) != digest_kernel(make(2))


def test_a_kernel_on_what_cannot_be_compared_has_no_digest():
    assert digest_kernel(make(x for x in ())) == ""
