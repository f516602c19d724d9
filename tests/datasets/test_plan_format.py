from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beampipe.datasets.model import DatasetPlan, FileEntry, Plan, UncountedFile
from beampipe.datasets.plan_format import plan_digest, plan_from_json, plan_to_json
from beampipe.datasets.planning import cut_file
from beampipe.errors import FileTruncatedError, PlanFormatError

UUIDS = st.uuids().map(str)


@st.composite
def file_plans(draw):
    entries = draw(st.integers(0, 10**7))
    file = FileEntry(
        "Z → µµ",
        tuple(draw(st.lists(st.text(min_size=1), min_size=1, max_size=3, unique=True))),
        draw(st.text(min_size=1)),
        draw(UUIDS),
        entries,
        draw(st.none() | st.integers(0, 10**12)),
        draw(st.sampled_from(["TTree", "RNTuple"])),
    )
    steps = draw(st.none() | st.just(((0, entries // 2), (entries // 2, entries))))
    limit = st.none() | st.integers(1, 10**7)
    return cut_file(file, steps, chunksize=draw(st.integers(10**4, 10**6)), maxevents=draw(limit))


@st.composite
def plans(draw):
    files = tuple(draw(st.lists(file_plans(), max_size=3)))
    metadata = draw(st.dictionaries(st.text(), st.integers() | st.text() | st.booleans()))
    return Plan((DatasetPlan("Z → µµ", files, (), metadata),), draw(st.integers(1, 10**6)))


def round_trip(plan):
    return plan_from_json(json.loads(json.dumps(plan_to_json(plan))))


@given(plans())
def test_a_plan_survives_json(plan):
    assert round_trip(plan) == plan


@given(plans())
def test_the_digest_survives_json(plan):
    assert plan_digest(round_trip(plan)) == plan_digest(plan)
    assert len(plan_digest(plan)) == 64


def make_plan_of_one(**changes):
    file = FileEntry("DY", ("/a.root",), "Events", "u", 100, 5)
    names = {field: changes.pop(field) for field in list(changes) if hasattr(file, field)}
    cut = replace(cut_file(replace(file, **names), chunksize=10), **changes)
    return Plan((DatasetPlan("DY", (cut,)),), 10)


def test_the_digest_does_not_depend_on_where_files_lie():
    moved = make_plan_of_one(urls=("root://x//b.root",), size_bytes=6)
    assert plan_digest(moved) == plan_digest(make_plan_of_one())


@pytest.mark.parametrize(
    "change",
    [
        {"treename": "Runs"},
        {"uuid": "v"},
        {"entries": 101},
        {"n_chunks": 9},
        {"used_chunks": 9},
        {"stop": 99},
        {"steps": ((0, 10),)},
    ],
)
def test_the_digest_depends_on_what_is_done(change):
    assert plan_digest(make_plan_of_one(**change)) != plan_digest(make_plan_of_one())


def test_uncounted_files_keep_their_error():
    error = FileTruncatedError("a is cut", why="short", fix="copy", size_bytes=5)
    plan = Plan((DatasetPlan("DY", (), (UncountedFile("DY", ("/a.root",), error),)),), 10)
    (found,) = round_trip(plan).datasets[0].uncounted
    assert found.urls == ("/a.root",)
    assert type(found.error) is FileTruncatedError
    assert str(found.error) == str(error)


@pytest.mark.parametrize("change", [{"format": "other"}, {"version": 2}])
def test_unknown_formats_are_refused(change):
    stored = plan_to_json(make_plan_of_one()) | change
    with pytest.raises(PlanFormatError, match="version 1"):
        plan_from_json(stored)


@pytest.mark.parametrize("change", [{"datasets": 5}, {"columns": ["urls"]}, {"datasets": [{}]}])
def test_damaged_plans_are_refused(change):
    stored = plan_to_json(make_plan_of_one()) | change
    with pytest.raises(PlanFormatError, match="damaged"):
        plan_from_json(stored)


def test_forty_thousand_files_make_a_small_plan():
    cut = make_plan_of_one(entries=25 * 250_000).datasets[0].files[0]
    url = "root://eos.example.org//store/mc/" + "x" * 50
    files = tuple(
        replace(cut, file=replace(cut.file, uuid=f"{i:032x}", urls=(f"{url}{i}.root",)))
        for i in range(40_000)
    )
    text = json.dumps(plan_to_json(Plan((DatasetPlan("DY", files),), 250_000)))
    assert len(text) < 40_000 * 250
