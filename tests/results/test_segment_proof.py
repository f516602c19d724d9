import zipfile

import pytest
from tests.results.handmade_run import (
    RUN_ID,
    UUIDS,
    HandmadeRun,
    done,
    failure,
    file_row,
    manifest_of,
    plan_of,
    segment_bytes,
)

from beampipe.results.segment_proof import read_segment_files


@pytest.fixture
def run(tmp_path):
    run = HandmadeRun(tmp_path / "Z → µµ 'x' \"q\"", plan_of(Z=[file_row(0)]))
    return run.commit(1, "Z", [done(0, 0, 0, 25)], [failure(0, 1, 25, 50)])


def read(run):
    return list(read_segment_files(run.path, RUN_ID))


def test_a_whole_segment_counts(run):
    (segment,) = read(run)
    assert segment.counts
    (one,) = segment.done
    assert (one.segment, one.k, one.n, one.start, one.stop) == (1, 0, 4, 0, 25)
    assert "entries 0 to 25" in one.text
    assert segment.failed[0].k == 1


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"run_id": "another"}, "belongs to run 'another'"),
        ({"format": "something"}, "no segment"),
        ({"segment": 7}, "a copy of segment 7"),
        ({"sha256": {}}, "checksums"),
        ({"sha256": {"value/value.json": "0" * 64}}, "checksums"),
        ({"sha256": {"value/value.json": "0", "value/arrays/0.npy": "0"}}, "checksums"),
    ],
)
def test_what_is_foreign_is_ignored(run, changes, reason):
    run.commit(1, "Z", [done(0, 0, 0, 25)], **changes)
    (segment,) = read(run)
    assert not segment.counts
    assert reason in segment.ignored
    assert not segment.done


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"version": 2}, "version 2"),
        ({"done": [["u", 0, 4, 0]]}, "makes no sense"),
        ({"done": [["u", 0, 4, 0, 2.5]]}, "makes no sense"),
        ({"done": [["u", 0, 4, 9, 2]]}, "no part of a file"),
        ({"done": [["u", 4, 4, 0, 2]]}, "no part of a file"),
        ({"done": [["u", True, 4, 0, 2]]}, "makes no sense"),
        ({"failed": [{}]}, "makes no sense"),
        ({"done": None}, "makes no sense"),
    ],
)
def test_what_is_whole_and_makes_no_sense_is_an_error(run, changes, reason):
    run.commit(1, "Z", [], **changes)
    (segment,) = read(run)
    assert reason in segment.error


def test_events_without_a_value_are_an_error(run):
    run.commit(1, "Z", [done(0, 0, 0, 25)], members={})
    assert "no value" in read(run)[0].error
    run.commit(1, "Z", [], [failure(0, 0, 0, 25)], members={})
    assert read(run)[0].counts


def test_claims_and_void_marks_decide(run):
    (run.path / "claims" / "000001.void").touch()
    assert "void" in read(run)[0].ignored
    (run.path / "claims" / "000001.void").unlink()
    (run.path / "claims" / "000001").unlink()
    assert "nobody claimed" in read(run)[0].ignored


def test_other_files_are_passed_over(run):
    for name in (".000002.zip.77-abc.tmp", "notes.zip", "000002.zip.tmp", "readme"):
        (run.path / "segments" / name).write_text("x")
    assert len(read(run)) == 1


def test_two_members_of_one_name_are_torn(run):
    with (
        pytest.warns(UserWarning, match="Duplicate name"),
        zipfile.ZipFile(run.segment_path(1), "a") as archive,
    ):
        archive.writestr("value/value.json", "{}")
    assert "torn" in read(run)[0].ignored


def test_a_truncated_segment_is_torn_wherever_it_ends(run):
    whole = run.segment_path(1).read_bytes()
    for length in range(len(whole)):
        run.segment_path(1).write_bytes(whole[:length])
        (segment,) = read(run)
        assert "torn" in segment.ignored, length


def test_a_flipped_byte_never_changes_what_counts(run):
    whole = run.segment_path(1).read_bytes()
    (good,) = read(run)
    ignored = 0
    for place in range(len(whole)):
        for bit in (0x01, 0x80):
            damaged = bytearray(whole)
            damaged[place] ^= bit
            run.segment_path(1).write_bytes(damaged)
            (segment,) = read(run)
            # A bit in a time stamp or a permission harms nobody; anything else is noticed.
            assert segment == good or segment.ignored, (place, segment)
            ignored += bool(segment.ignored)
    assert ignored > len(whole)


def test_a_deflated_member_with_wrong_bytes_is_torn(run):
    members = {"value/value.json": bytes(range(256)) * 40}
    data = bytearray(segment_bytes(manifest_of(1, "Z", [done(0, 0, 0, 25)]), members))
    for place in range(40, 300):
        damaged = data.copy()
        damaged[place] ^= 0xFF
        run.segment_path(1).write_bytes(damaged)
        assert "torn" in read(run)[0].ignored


@pytest.mark.usefixtures("no_privilege")
def test_a_segment_that_may_not_be_read_is_an_error(run):
    run.segment_path(1).chmod(0)
    assert "cannot be read" in read(run)[0].error


ORIGIN = {"run_id": "another", "segment": 7, "beampipe": "0.2", "sha256": "0" * 64, "new": 1}


def test_what_was_taken_over_and_what_was_split_is_told(run):
    rows = [done(0, 0, 0, 25), done(0, 1, 25, 50)]
    run.commit(1, "Z", rows, origin=ORIGIN, split=[[rows[1][0], 1, 4]], of_a_later_version=True)
    (segment,) = read(run)
    assert segment.counts
    assert (segment.origin, segment.split) == ("another", 1)
    run.commit(1, "Z", rows, origin=None, split=[])
    assert (read(run)[0].origin, read(run)[0].split) == ("", 0)


@pytest.mark.parametrize(
    "changes",
    [
        {"split": [[UUIDS[0], 0]]},
        {"split": [[UUIDS[0], 0, 1]]},
        {"split": [[UUIDS[0], 0, "2"]]},
        {"split": [[UUIDS[0], 1, 2]]},
        {"split": [[UUIDS[0], 0, 2], [UUIDS[0], 0, 2]]},
        {"split": 3},
        {"origin": {"segment": 1}},
        {"origin": {"run_id": "another", "segment": "1"}},
        {"origin": {"run_id": 3, "segment": 1}},
        {"origin": ORIGIN, "done": []},
        {"origin": ORIGIN, "failed": [failure(0, 1, 25, 50)]},
    ],
)
def test_a_split_or_an_origin_that_cannot_be_is_an_error(run, changes):
    run.commit(1, "Z", [done(0, 0, 0, 25)], **changes)
    (segment,) = read(run)
    assert "makes no sense" in segment.error


def test_the_kind_of_a_failure_is_read_if_it_is_there(run):
    failed = [failure(0, 1, 25, 50), {**failure(0, 2, 50, 75), "kind": "worker", "seen": {}}]
    run.commit(1, "Z", [done(0, 0, 0, 25)], failed)
    assert [one.kind for one in read(run)[0].failed] == ["", "worker"]
