import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beampipe.errors import LedgerError
from beampipe.execution.manifest import DoneChunk, Manifest, check_no_overlap, join_manifests

ranges = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 6)), max_size=8)


def done(k, start, stop, uuid="u"):
    return DoneChunk(uuid, k, 9, start, stop)


def test_a_manifest_survives_json_with_hostile_names(make_failed, hostile_name):
    manifest = Manifest(hostile_name, (done(0, 0, 5),), (make_failed(k=1),))
    assert Manifest.from_json(json.loads(json.dumps(manifest.to_json()))) == manifest


def test_keys_and_events(make_failed):
    manifest = Manifest("DY", (done(0, 0, 5), done(2, 8, 9)), (make_failed("v", 1),))
    assert list(manifest.keys()) == [("u", 0), ("u", 2), ("v", 1)]
    assert manifest.n_events == 6


def test_the_order_does_not_matter_and_everything_else_does(make_failed):
    one = Manifest("DY", (done(0, 0, 5), done(1, 5, 9)), (make_failed("v", 1),))
    assert one.is_same(Manifest("DY", one.done[::-1], (make_failed("v", 1, attempt=2),)))
    assert not one.is_same(Manifest("TT", one.done, one.failed))
    assert not one.is_same(Manifest("DY", (done(0, 0, 5), done(1, 5, 8)), one.failed))
    assert not one.is_same(Manifest("DY", one.done[:1], one.failed))
    assert not one.is_same(Manifest("DY", one.done))


def test_the_same_bug_has_the_same_signature_on_other_events(make_failed):
    text = 'Traceback:\n  File "a.py", line 3, in process\n    x\nValueError: {}'
    one = make_failed(traceback=text.format(1), message="1")
    assert one.signature == make_failed(k=3, traceback=text.format(2), message="2").signature
    assert one.signature != make_failed(traceback=text.replace("line 3", "line 4")).signature
    assert make_failed().signature == ("processor-failed", "ValueError", "")


def test_manifests_of_one_dataset_are_joined(make_failed):
    one, two = Manifest("DY", (done(0, 0, 5),)), Manifest("DY", (done(1, 5, 9),), (make_failed(),))
    assert join_manifests([one, two]) == Manifest("DY", one.done + two.done, two.failed)


@pytest.mark.parametrize("names", [(), ("DY", "TT")])
def test_several_datasets_or_none_are_not_joined(names):
    with pytest.raises(LedgerError, match="several datasets"):
        join_manifests(Manifest(name) for name in names)


def test_the_same_events_are_not_joined():
    with pytest.raises(LedgerError, match="file u: part 1, entries 4 to 9, overlaps.* ends at 5"):
        join_manifests([Manifest("DY", (done(0, 0, 5),)), Manifest("DY", (done(1, 4, 9),))])


def test_the_same_part_is_refused_even_where_it_is_empty():
    with pytest.raises(LedgerError):
        check_no_overlap([done(1, 5, 5), done(1, 5, 5)])


def test_other_files_have_events_of_the_same_numbers():
    check_no_overlap([done(0, 0, 5), done(0, 0, 5, uuid="v")])


@given(ranges)
def test_overlap_is_found_exactly_where_an_event_is_held_twice(spans):
    chunks = [done(k, start, start + length) for k, (start, length) in enumerate(spans)]
    events = [event for chunk in chunks for event in range(chunk.start, chunk.stop)]
    if len(events) == len(set(events)):
        check_no_overlap(chunks)
    else:
        with pytest.raises(LedgerError):
            check_no_overlap(chunks)
