"""Chunks that raise, kill their worker, or want more memory than there is."""

from tests.chaos.checking import check
from tests.chaos.clusters import BARE, LOCAL, NANNY
from tests.chaos.data import CHUNK, N_EVENTS
from tests.chaos.scenarios import scenario

import beampipe as bp

NANNIED = (NANNY, "embedded", LOCAL)
KILLERS = ("segfault", "exit", "null")


def choose(stage, what, *, once=False, **more):
    """Make one chunk do that, every time or once."""
    event = stage.rng.randrange(N_EVENTS)
    marker = {"marker": str(stage.folder / "marker")} if once else {}
    stage.params["troubles"] = [{"event": event, "what": what, **marker, **more}]
    return event


def check_one_hole(stage, event, *codes, is_bounded=True):
    """All is there but the chunk of this event, which is named."""
    checked = check(stage, holes=True, is_bounded=is_bounded)
    result = bp.load(stage.run_dir)
    uuid, entry = stage.content.where_is(event)
    assert checked.events_missing == CHUNK, f"{checked.events_missing} events are missing"
    (failure,) = result.failures
    assert failure.uuid == uuid
    assert failure.start <= entry < failure.stop, failure
    assert failure.code in codes, failure
    return checked


@scenario("chunk raises")
def chunk_raises(stage):
    """One chunk raises (a bug); `on_error="skip"`."""
    event = choose(stage, "raise")
    stage.drive(on_error="skip").must_end("incomplete")
    # It is called once more with all columns in their places, in case that was the reason.
    checked = check_one_hole(stage, event, "processor-failed", is_bounded=False)
    assert checked.redone.redone <= 1, checked.redone
    return checked


@scenario("chunk kills its worker", kinds=NANNIED)
def chunk_kills(stage):
    """One chunk segfaults or leaves by `os._exit`, every time; `on_error="skip"`."""
    event = choose(stage, stage.rng.choice(KILLERS))
    stage.drive(on_error="skip").must_end("incomplete")
    return check_one_hole(stage, event, "run-worker-died")


@scenario("chunk kills its worker once", kinds=(*NANNIED, BARE))
def chunk_kills_once(stage):
    """One chunk kills its worker the first time, and never again."""
    choose(stage, stage.rng.choice(KILLERS), once=True)
    stage.drive().must_end("complete")
    return check(stage)


@scenario("two chunks kill their workers", kinds=(NANNY, "embedded"))
def two_chunks_kill(stage):
    """Two chunks of different files kill their workers, every time; `on_error="skip"`."""
    first = stage.rng.randrange(N_EVENTS // 2)
    second = N_EVENTS // 2 + stage.rng.randrange(N_EVENTS // 2)
    stage.params["troubles"] = [{"event": event, "what": "exit"} for event in (first, second)]
    stage.drive(on_error="skip").must_end("incomplete")
    checked = check(stage, holes=True)
    assert checked.events_missing == 2 * CHUNK, f"{checked.events_missing} events are missing"
    assert len(bp.load(stage.run_dir).failures) == 2
    return checked


@scenario("chunk runs out of memory", kinds=(NANNY,))
def chunk_wants_memory(stage):
    """One chunk wants more memory than its worker may have; half of it would do."""
    stage.build_cluster(memory_limit="900MB")
    choose(stage, "memory", bytes_per_event=22_000_000)
    stage.drive().must_end("complete")
    assert any(segment.split for segment in stage.committed()), "the chunk was not split"
    return check(stage)
