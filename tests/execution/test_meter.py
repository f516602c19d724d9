"""How far a run is and how fast."""

import pytest

from beampipe.execution import meter as module
from beampipe.execution.manifest import DoneChunk, FailedChunk, Manifest
from beampipe.execution.meter import Meter

MANIFEST = Manifest(
    "DY",
    (DoneChunk("u", 0, 3, 0, 60), DoneChunk("u", 1, 3, 60, 100)),
    (FailedChunk("u", 2, 3, 100, 150, "/a.root", "c", "E", "m"),),
)


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def read(meter, stage="running"):
    return meter.read(stage, chunks=3, workers=2)


def test_what_is_done_and_what_is_safe_are_told_apart(clock):
    meter = Meter(events_planned=350, events_before=200)
    meter.start()
    meter.take(MANIFEST)
    clock[0] += 2.0
    progress = read(meter)
    assert (progress.events_done, progress.events_committed) == (300, 200)
    assert (progress.chunks_done, progress.chunks_failed, progress.chunks_planned) == (2, 1, 3)
    assert progress.events_per_s == 50.0
    assert progress.eta_s == 1.0
    assert progress.elapsed_s == 2.0
    meter.commit(MANIFEST)
    assert read(meter).events_committed == 300
    meter.retries += 2
    meter.workers_died += 1
    assert (read(meter).retries, read(meter).workers_died) == (2, 1)


def test_what_is_thrown_away_is_taken_back(clock):
    meter = Meter(events_planned=150)
    meter.start()
    meter.take(MANIFEST)
    meter.take(MANIFEST, sign=-1)
    clock[0] += 1.0
    progress = read(meter)
    assert (progress.events_done, progress.chunks_done, progress.chunks_failed) == (0, 0, 0)
    assert progress.events_per_s == 0.0
    assert progress.eta_s is None


def test_the_rate_is_of_the_last_half_minute(clock):
    meter = Meter(events_planned=10_000)
    meter.start()
    for _ in range(100):
        clock[0] += 1.0
        read(meter)
    meter.take(MANIFEST)
    clock[0] += 1.0
    assert read(meter).events_per_s == pytest.approx(100 / 30, rel=0.05)
    assert len(meter._marks) < 40


def test_threads_count_from_when_they_are_there(clock):
    meter = Meter(events_planned=100)
    meter.start()
    clock[0] += 5.0
    meter.see(2)  # they have just come
    assert meter.threads_s == 0.0
    clock[0] += 10.0
    meter.see(2)
    assert meter.threads_s == 20.0
    clock[0] += 1.0
    meter.see(1)  # one has gone, nobody knows when
    assert meter.threads_s == 21.0
