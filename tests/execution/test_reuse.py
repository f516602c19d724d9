"""What of a plan fits into another (whole stories: tests/functional/test_reuse.py)."""

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beampipe.datasets.chunks import chunk_range
from beampipe.datasets.model import Chunk, FileEntry
from beampipe.datasets.planning import cut_file
from beampipe.execution.identity import Identity, Part
from beampipe.execution.manifest import DoneChunk
from beampipe.execution.reuse import find_alike, is_cut_alike


def cut(entries=1000, chunksize=100, steps=None, treename="Events", **limits):
    file = FileEntry("DY", ("/x.root",), treename, "u", entries)
    return cut_file(file, steps, chunksize=chunksize, **limits)


def done(plan, k, boundaries=None):
    return DoneChunk("u", k, plan.n_chunks, *chunk_range(Chunk(plan, k), boundaries))


@given(
    entries=st.integers(1, 500),
    chunksize=st.integers(1, 200),
    limits=st.tuples(*[st.none() | st.integers(1, 500)] * 2),
    more=st.tuples(*[st.none() | st.integers(1, 20)] * 2),
    boundaries=st.none() | st.lists(st.integers(0, 500), max_size=8),
)
def test_what_is_taken_is_what_would_be_done(entries, chunksize, limits, more, boundaries):
    """Whatever the trial, a chunk that passes covers exactly the entries of the new plan."""
    edges = (
        sorted({0, *(edge for edge in boundaries if edge <= entries), entries})
        if boundaries
        else None
    )
    old = cut(entries, chunksize, maxevents=limits[0], maxchunks=more[0])
    new = cut(entries, chunksize, maxevents=limits[1], maxchunks=more[1])
    for k in range(min(old.used_chunks, new.used_chunks)):
        chunk = done(old, k, edges)
        if is_cut_alike(chunk, old, new):
            assert chunk == done(new, k, edges)


def test_the_same_plan_takes_everything():
    plan = cut()
    assert all(is_cut_alike(done(plan, k), plan, plan) for k in range(10))


@pytest.mark.parametrize(
    "other",
    [
        cut(chunksize=99),
        cut(entries=1001),
        cut(treename="Other"),
        cut(steps=((0, 100), (100, 1000))),
        None,
    ],
)
def test_another_cut_takes_nothing(other):
    plan = cut()
    assert not is_cut_alike(done(plan, 0), plan, other)
    assert not is_cut_alike(done(plan, 0), other, plan)


def test_steps_must_be_the_same():
    one, other = cut(steps=((0, 100), (100, 300))), cut(steps=((0, 100), (100, 400)))
    assert is_cut_alike(done(one, 0), one, other)
    assert not is_cut_alike(done(one, 1), one, other)


def test_the_newest_run_of_an_identity_comes_first(tmp_path):
    identity = Identity({"a": Part("1")})
    for number, digest in enumerate([identity.digest, "other", identity.digest]):
        folder = tmp_path / f"run{number}"
        folder.mkdir()
        (folder / "run.json").write_text(json.dumps({"format": "x", "identity": digest}, indent=1))
        os.utime(folder / "run.json", (number, number))
    (tmp_path / "no run").mkdir()
    (tmp_path / "file").write_text("x")
    found = [path.name for path in find_alike(identity, [tmp_path, tmp_path / "missing"])]
    assert found == ["run2", "run0"]
    assert find_alike(identity, [tmp_path / "run0"]) == [tmp_path / "run0"]
    assert find_alike(Identity({}, unhashable={"x": "y"}), [tmp_path]) == []
