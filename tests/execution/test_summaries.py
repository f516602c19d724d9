import math
from dataclasses import replace

import numpy as np
import pytest
from distributed.protocol.serialize import _is_dumpable

from beampipe.execution.manifest import DoneChunk, FailedChunk, Manifest
from beampipe.execution.partials import Partial, summarize_partial
from beampipe.execution.summaries import (
    MOST_BYTES,
    Told,
    read_summary,
    summaries_topic,
    summarize_here,
    tell_summary,
    write_summary,
)

FAILED = FailedChunk("f", 1, 2, 5, 9, "/a\udcff", "processor-failed", "E", "m\n\x00", "  File é\n")
PARTIAL = Partial(
    Manifest("data set é", (DoneChunk("f", 0, 2, 0, 5),), (FAILED,)),
    {"n": 5},
    {"bundle_s": 1.5},
    remainder=(("g", 3),),
    returned=(FAILED,),
    worker_ends_at=math.inf,
)


class FakeWorker:
    address = "tcp://here:1"

    def __init__(self, error=None):
        self.said, self.error = [], error

    def log_event(self, topic, message):
        if self.error is not None:
            raise self.error
        self.said.append((topic, message))


def test_a_summary_goes_through_the_scheduler_as_it_is():
    worker = FakeWorker()
    tell_summary(worker, "beampipe-1", "beampipe-1-bundle-7", PARTIAL)
    ((topic, message),) = worker.said
    assert topic == summaries_topic("beampipe-1")
    assert _is_dumpable(message)
    told = read_summary(message)
    # Whether this process sees a store depends on the tests that ran in it before.
    told = replace(told, summary=replace(told.summary, sees_store=None))
    summary = replace(summarize_partial(PARTIAL), worker="tcp://here:1")
    assert told == Told("beampipe-1-bundle-7", summary)


def test_a_summary_that_is_asked_for_says_where_its_partial_is(monkeypatch):
    assert summarize_here(PARTIAL).worker == ""  # in no worker
    monkeypatch.setattr("distributed.get_worker", FakeWorker)
    assert summarize_here(PARTIAL).worker == FakeWorker().address


def test_what_the_scheduler_adds_does_no_harm():
    told = Told("b", summarize_partial(PARTIAL))
    assert read_summary(write_summary(told) | {"worker": "tcp://1.2.3.4:5"}) == told


def test_a_bundle_ends_well_that_cannot_tell():
    tell_summary(FakeWorker(RuntimeError("the loop is closed")), "p", "b", PARTIAL)


@pytest.mark.parametrize(
    ("size", "n_told"), [(MOST_BYTES // 8 - 100, 1), (MOST_BYTES // 8 + 100, 0)], ids=str
)
def test_large_values_are_not_told_of_at_once(size, n_told):
    worker = FakeWorker()
    tell_summary(worker, "p", "b", replace(PARTIAL, value={"x": np.zeros(size)}))
    assert len(worker.said) == n_told


@pytest.mark.parametrize("message", [None, {}, {"beampipe": "{}"}, {"beampipe": b"torn"}], ids=repr)
def test_what_is_none_of_ours_is_refused(message):
    with pytest.raises(Exception, match=r"."):
        read_summary(message)


def test_a_thousand_chunks_are_a_few_kilobytes():
    done = tuple(DoneChunk(f"uuid-{i // 25}", i % 25, 25, i, i + 1) for i in range(1000))
    message = write_summary(Told("b", summarize_partial(Partial(Manifest("d", done)))))
    assert len(message["beampipe"]) < 20_000
