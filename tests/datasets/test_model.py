from __future__ import annotations

import dataclasses
import pickle

import pytest

from beampipe.datasets.model import Chunk, DatasetPlan, DatasetSpec, FileEntry, FilePlan, Plan

FILE = FileEntry("Z → µµ", ("/a.root",), "Events", "uuid", 100)
WHOLE = FilePlan(FILE, 4, 4, 100)
CUT = FilePlan(FILE, 4, 2, 50)
STEPS = FilePlan(FILE, 3, 2, 60, ((0, 10), (20, 60), (70, 90)))
PLAN = Plan((DatasetPlan("Z → µµ", (WHOLE, CUT)), DatasetPlan("steps", (STEPS,))), 25)


def test_events_and_chunks_add_up():
    assert (WHOLE.n_events, CUT.n_events, STEPS.n_events) == (100, 50, 50)
    assert [dataset.n_events for dataset in PLAN.datasets] == [150, 50]
    assert (PLAN.n_events, PLAN.n_chunks) == (200, 8)


def test_chunks_come_in_order():
    chunks = list(PLAN.chunks())
    assert [(chunk.plan, chunk.k) for chunk in chunks] == [
        *((WHOLE, k) for k in range(4)),
        *((CUT, k) for k in range(2)),
        *((STEPS, k) for k in range(2)),
    ]
    assert chunks[5].key == ("Z → µµ", "uuid", 1)


def test_plans_travel():
    assert pickle.loads(pickle.dumps(PLAN)) == PLAN
    assert len(pickle.dumps(Chunk(WHOLE, 3))) < 500


@pytest.mark.parametrize("value", [FILE, WHOLE, PLAN, Chunk(WHOLE, 0), DatasetSpec("a", ())])
def test_values_do_not_change(value):
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, dataclasses.fields(value)[0].name, None)


def test_chunks_travel_light_and_arrive_as_they_were():
    plan = FilePlan(FileEntry("d", ("/a é",), "Events", "uuid", 100), 10, 10, 100)
    chunks = [Chunk(plan, k) for k in range(10)]
    packed = pickle.dumps(chunks)
    arrived = pickle.loads(packed)
    assert arrived == chunks
    assert all(chunk.plan is arrived[0].plan for chunk in arrived)
    alone = len(pickle.dumps(chunks[:1]))
    assert len(packed) < alone + 9 * 20
