import pickle
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beampipe.errors import LedgerError
from beampipe.execution.done_chunks import NOTHING, DoneChunk, DoneChunks, check_no_overlap

chunk_lists = st.lists(
    st.builds(
        DoneChunk,
        st.sampled_from("uvw"),
        st.integers(-1, 4),
        st.integers(1, 3),
        st.integers(0, 12),
        st.integers(0, 12),
    ),
    max_size=8,
)


@given(chunk_lists)
def test_they_read_like_a_tuple(chunks):
    packed = DoneChunks.of(chunks)
    assert list(packed) == chunks
    assert packed == tuple(chunks)
    assert len(packed) == len(chunks)
    assert [packed[i] for i in range(len(chunks))] == chunks
    assert list(packed.keys()) == [(chunk.uuid, chunk.k) for chunk in chunks]
    assert list(packed[1:]) == chunks[1:]
    assert hash(packed) == hash(tuple(chunks))
    assert pickle.loads(pickle.dumps(packed)) == packed
    assert packed.n_events == sum(chunk.stop - chunk.start for chunk in chunks)
    assert packed.first == min(chunks, default=None)
    assert repr(list(packed)) in repr(packed)
    assert packed != chunks


@given(st.lists(chunk_lists, max_size=4))
def test_they_are_joined_one_behind_the_other(parts):
    joined = DoneChunks.join(map(DoneChunks.of, parts))
    assert joined == DoneChunks.of(chunk for part in parts for chunk in part)


@given(chunk_lists, st.randoms(use_true_random=False), chunk_lists)
def test_the_order_does_not_matter_for_being_the_same(chunks, rng, others):
    mixed = rng.sample(chunks, len(chunks))
    packed = DoneChunks.of(chunks)
    assert packed.is_same(DoneChunks.of(mixed))
    assert packed.is_same(DoneChunks.of(others)) == (sorted(chunks) == sorted(others))


@given(chunk_lists)
def test_what_is_there_twice_is_found(chunks):
    packed = DoneChunks.of(chunks)
    counts = Counter((chunk.uuid, chunk.k) for chunk in chunks)
    twice = packed.find_twice()
    assert (twice is None) == (max(counts.values(), default=0) < 2)
    assert twice is None or counts[twice.uuid, twice.k] > 1


@given(chunk_lists)
def test_an_event_in_two_chunks_is_found(chunks):
    events = Counter(
        (chunk.uuid, event) for chunk in chunks for event in range(chunk.start, chunk.stop)
    )
    pair = DoneChunks.of(chunks).find_overlap()
    assert (pair is None) == (max(events.values(), default=0) < 2)
    if pair is not None:
        one, other = pair
        assert one.uuid == other.uuid
        assert one.start <= other.start < one.stop


@given(chunk_lists)
def test_parts_are_found_by_file(chunks):
    parts = DoneChunks.of(chunks).parts_of_files()
    assert dict(parts) == {
        uuid: {chunk.k for chunk in chunks if chunk.uuid == uuid}
        for uuid in {chunk.uuid for chunk in chunks}
    }
    assert len(parts) == len(dict(parts))
    assert parts.get("other") is None


@pytest.mark.parametrize(
    "row",
    [
        ("u", 0, 1, 0.5, 2),
        ("u", "0", 1, 0, 2),
        ("u", 0, 1.0, 0, 2),
        ("u", 0, 1, 0),
        ([], 0, 1, 0, 2),
    ],
)
def test_what_is_no_chunk_is_refused(row):
    with pytest.raises((TypeError, ValueError)):
        DoneChunks.of([row])


def test_a_number_that_no_file_has_is_refused():
    with pytest.raises(OverflowError):
        DoneChunks.of([("u", 0, 1, 0, 2**64)])


def test_a_million_take_a_dozen_bytes_each():
    """A tuple of them takes three hundred, and a driver keeps all of a run."""
    n = 1000
    rows = ((f"file-{i}", k, n, 1000 * k, 1000 * k + 1000) for i in range(10) for k in range(n))
    packed = DoneChunks.of(rows)
    assert len(packed.rows.data) / len(packed) <= 12
    assert NOTHING.rows == DoneChunks.of([]).rows


def test_a_refusal_names_both():
    with pytest.raises(LedgerError, match="file v: part 1, entries 4 to 9, overlaps.* ends at 5"):
        check_no_overlap([DoneChunk("v", 1, 9, 4, 9), DoneChunk("v", 0, 9, 0, 5)])
