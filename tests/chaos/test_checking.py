"""The harness itself: it must see what is lost, what is counted twice, and what was done again."""

import os
import time

import pytest
from tests.chaos.analysis import process
from tests.chaos.data import CHUNK, FILES, N_EVENTS, ROOM, Content, make_files
from tests.chaos.gates import POINTS, find
from tests.chaos.trace import Blow, Committed, Trace, count_redone

import beampipe as bp


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return make_files(tmp_path_factory.mktemp("files"))


@pytest.fixture
def run_over(files, tmp_path):
    def run(*names):
        result = bp.run(
            process,
            [str(files / name) for name in names],
            client="inline",
            schema=None,
            chunksize=CHUNK,
            params={"trace": str(tmp_path / "trace"), "chunk_s": 0, "events_in_all": ROOM},
            run_dir=tmp_path / f"run-{len(list(tmp_path.iterdir()))}",
            progress=False,
        )
        return result.output

    return run


def test_a_plain_loop_gives_what_the_engine_gives(files, run_over):
    expected = Content.read(files).expect()
    assert expected.events == N_EVENTS
    assert expected.differences(run_over(*FILES)) == []


def test_a_chunk_that_is_lost_or_counted_twice_is_seen_and_named(files, run_over):
    content = Content.read(files)
    output = run_over(*FILES)
    whole = [(uuid, 0, 500) for uuid in content.columns]
    less = content.expect([*whole[1:], (whole[0][0], 50, 500)])
    assert any(
        "which differs: events from 0: 10 for 0" in text for text in less.differences(output)
    )
    more = content.expect([*whole, (whole[0][0], 50, 100)])
    texts = more.differences(output)
    assert [text.partition(" ")[0] for text in texts] == [
        "events",
        "sum_of_ids",
        "x",
        "which",
        "weighted",
        "variances",
    ]
    assert content.expect().differences(None) == ["there is no output"]


def test_events_that_swapped_places_are_seen(files, run_over):
    """The same numbers of events, of other events."""
    content = Content.read(files)
    first, second = list(content.columns)[:2]
    swapped = content.expect([(first, 0, 500)])
    output = run_over(content.names[second])
    assert swapped.events == output["events"]
    assert swapped.differences(output)


def test_a_weight_that_is_off_by_little_is_seen(files, run_over):
    expected = Content.read(files).expect()
    output = run_over(*FILES)
    view = output["weighted"].view(flow=True)
    view.value[7] += 1e-11 * expected.magnitude[7]
    assert expected.differences(output) == ["weighted differs: in some bins"]


def write_trace(path, *lines):
    path.write_text("".join(f"{line}\n" for line in lines))
    return Trace(path)


def test_work_done_again_is_held_against_what_was_not_committed(tmp_path):
    trace = write_trace(
        tmp_path / "trace",
        "begin 1.0 11 file 0 50 key-1",
        "end 1.5 11 file 0 50 key-1",
        "begin 2.0 12 file 50 100 key-2",
        "begin 4.0 12 file 100 150 key-3",
        "begin 6.0 12 file 50 100 key-4",
        "begin 7.0 12 file 0 50 key-5",
    )
    ledger = [Committed(1, 1.8, (("file", 0, 50),), ())]
    redone = count_redone(trace, ledger, [Blow(3.0, (12,))], CHUNK)
    assert (redone.redone, redone.bound, redone.on_the_dead) == (2, 1, 1)
    longer = count_redone(trace, ledger, [Blow(3.0, (11,), until=5.0)], CHUNK)
    assert (longer.bound, longer.on_the_dead) == (2, 0)
    assert count_redone(trace, ledger, [], CHUNK).bound == 0


def test_a_thread_may_begin_one_more_chunk_for_a_driver_that_is_dead(tmp_path):
    trace = write_trace(
        tmp_path / "trace",
        "begin 1.0 11 file 0 50 first-bundle-1",
        "begin 2.1 11 file 50 100 first-bundle-2",
        "begin 2.2 11 file 100 150 first-bundle-3",
        "begin 3.0 11 file 150 200 second-bundle-1",
    )
    assert count_redone(trace, [], [Blow(2.0)], CHUNK).bound == 1
    assert count_redone(trace, [], [Blow(2.0, threads=1)], CHUNK).bound == 2
    assert count_redone(trace, [], [Blow(2.0, threads=3)], CHUNK).bound == 3


@pytest.mark.parametrize("point", POINTS)
def test_every_aim_is_still_there(point):
    owner, name = find(POINTS[point][0])
    assert callable(getattr(owner, name))


def test_a_child_of_the_nursery_is_a_process_of_its_own(theatre, tmp_path):
    child = theatre.nursery.start("os:_exit", [], tmp_path / "log")  # its argument is no number
    assert child.wait() == 70
    assert "TypeError" in child.text()
    sleeper = theatre.nursery.start("tests.chaos.test_checking:sleep", [], tmp_path / "log 2")
    end = time.monotonic() + 120
    while os.getsid(sleeper.pid) != sleeper.pid:  # it does that itself
        assert time.monotonic() < end
        time.sleep(0.01)
    sleeper.kill()
    assert sleeper.wait() == -9


def sleep(arguments):
    import time

    time.sleep(1000)
