from __future__ import annotations

import json
import shutil
import time

import pytest

from beampipe.datasets.chunks import chunk_range
from beampipe.datasets.fileset import read_fileset
from beampipe.datasets.metadata_cache import MetadataCache
from beampipe.datasets.model import Chunk, DatasetSpec, FileEntry, FileSpec
from beampipe.datasets.planning import (
    Limits,
    cut_file,
    make_plan,
    plan_from_json,
    plan_to_json,
)
from beampipe.errors import (
    DuplicateFileError,
    FileEmptyError,
    FileMissingError,
    NoEventsError,
    NoFilesError,
    NotRootError,
    PlanArgumentError,
)
from beampipe.testing import tiny_files

HOSTILE = "Z → µµ 'x' \"q\" [1].root"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Ten files of 100, 101, ... 109 events, and an empty one."""
    folder = tmp_path_factory.mktemp("data 'µ'")
    for i in range(10):
        tiny_files.write_tree_file(folder / f"f{i}.root", events=100 + i)
    tiny_files.write_tree_file(folder / "none" / "empty.root", events=0)
    return folder


def plan_of(source, **options):
    return make_plan(read_fileset(source), **options)


def entry(entries):
    return FileEntry("DY", ("/a.root",), "Events", "u", entries)


@pytest.mark.parametrize(
    ("entries", "chunksize", "n_chunks"), [(0, 10, 0), (1, 10, 1), (10, 10, 1), (11, 10, 2)]
)
def test_a_file_is_cut_into_enough_chunks(entries, chunksize, n_chunks):
    plan = cut_file(entry(entries), chunksize=chunksize)
    assert (plan.n_chunks, plan.used_chunks, plan.stop) == (n_chunks, n_chunks, entries)


def test_limits_cut_a_file():
    assert cut_file(entry(101), chunksize=25, maxchunks=2).stop == 2 * 101 // 5
    plan = cut_file(entry(100), chunksize=25, maxevents=26)
    assert (plan.n_chunks, plan.used_chunks, plan.stop) == (4, 2, 26)
    plan = cut_file(entry(100), chunksize=25, maxchunks=1, maxevents=60)
    assert (plan.used_chunks, plan.stop) == (1, 25)
    plan = cut_file(entry(100), chunksize=25, maxevents=25)
    assert (plan.used_chunks, plan.stop) == (1, 25)


def test_limits_cut_steps():
    steps = ((0, 10), (20, 50), (60, 100))
    plan = cut_file(entry(100), steps, chunksize=5, maxevents=15)
    assert plan.steps == ((0, 10), (20, 25))
    assert (plan.n_chunks, plan.used_chunks, plan.n_events) == (3, 2, 15)
    assert chunk_range(Chunk(plan, 1)) == (20, 25)
    assert cut_file(entry(100), steps, chunksize=5, maxchunks=2).n_events == 40


def test_files_keep_their_order_and_events_add_up(folder):
    files = [folder / "f3.root", folder / "f1.root", folder / "f2.root"]
    plan = plan_of({"B": files, "A": folder / "f*.root"}, chunksize=50)
    assert [dataset.name for dataset in plan.datasets] == ["B", "A"]
    assert [file.file.urls[0] for file in plan.datasets[0].files] == [str(f) for f in files]
    assert plan.datasets[1].n_events == sum(range(100, 110))
    assert plan.n_events == sum(range(100, 110)) + 306
    assert plan.n_chunks == len(list(plan.chunks())) == 9 + 2 + 9 * 3
    assert len({chunk.key for chunk in plan.chunks()}) == plan.n_chunks


def test_the_same_fileset_gives_the_same_plan(folder):
    assert plan_of(str(folder)) == plan_of(str(folder))


def test_limits_hold_for_each_dataset(folder):
    source = {"A": folder / "f*.root", "B": folder / "f*.root"}
    plan = plan_of(source, limits=Limits(maxfiles=3))
    assert [len(dataset.files) for dataset in plan.datasets] == [3, 3]
    plan = plan_of(source, chunksize=50, limits=Limits(maxchunks=4))
    assert [dataset.n_chunks for dataset in plan.datasets] == [4, 4]
    assert [file.used_chunks for file in plan.datasets[0].files] == [2, 2]
    plan = plan_of(source, chunksize=50, limits=Limits(maxevents=205))
    assert [dataset.n_events for dataset in plan.datasets] == [205, 205]
    assert [file.stop for file in plan.datasets[0].files] == [100, 101, 4]


def test_a_trial_does_not_count_what_it_does_not_need(folder):
    missing = [folder / f"gone{i}.root" for i in range(40)]
    counted = []
    plan = plan_of(
        {"A": [folder / "f0.root", *missing]},
        limits=Limits(maxevents=10),
        on_progress=lambda done, total: counted.append((done, total)),
    )
    assert plan.datasets[0].uncounted == ()
    assert counted[-1] == (8, 8)


def test_bad_files_never_stop_the_planning(folder, tmp_path):
    bad = {
        tmp_path / "missing.root": FileMissingError,
        tiny_files.write_empty_file(tmp_path / HOSTILE): FileEmptyError,
        tiny_files.write_text_file(tmp_path / "page.root"): NotRootError,
    }
    plan = plan_of({"A": [folder / "f0.root", *bad, folder / "f1.root"]})
    (dataset,) = plan.datasets
    assert dataset.n_events == 201
    assert [file.urls for file in dataset.uncounted] == [(str(path),) for path in bad]
    assert [type(file.error) for file in dataset.uncounted] == list(bad.values())


def test_the_same_name_twice_is_refused(folder):
    path = str(folder / "f0.root")
    with pytest.raises(DuplicateFileError, match="same name") as caught:
        plan_of({"DY": [path, path]})
    assert caught.value.files == (path, path)


def test_a_copy_is_refused_and_both_are_named(folder, tmp_path):
    copy = shutil.copy(folder / "f0.root", tmp_path / HOSTILE)
    with pytest.raises(DuplicateFileError) as caught:
        plan_of({"DY": [folder / "f0.root", copy]})
    assert str(folder / "f0.root") in str(caught.value)
    assert str(copy) in str(caught.value)
    assert "uuid" in caught.value.why


def test_one_file_may_be_in_two_datasets(folder):
    path = folder / "f0.root"
    assert plan_of({"A": path, "B": path}).n_events == 200


def test_no_events_at_all_is_an_error(folder):
    empty = folder / "none" / "empty.root"
    with pytest.raises(NoEventsError, match="Events"):
        plan_of(empty)
    assert plan_of({"A": empty, "B": folder / "f0.root"}).n_chunks == 1
    assert plan_of([empty, folder / "gone.root"]).n_events == 0  # not all were counted


def test_no_files_at_all_is_an_error():
    with pytest.raises(NoFilesError):
        make_plan({})
    with pytest.raises(NoFilesError):
        make_plan({"A": DatasetSpec("A", ())})


@pytest.mark.parametrize("value", [0, -1, 1.5, "10", True])
def test_senseless_numbers_are_refused(value):
    with pytest.raises(PlanArgumentError, match="chunksize"):
        make_plan({"A": DatasetSpec("A", (FileSpec(("/a.root",)),))}, chunksize=value)
    with pytest.raises(PlanArgumentError, match="maxchunks"):
        Limits(maxchunks=value)


def test_progress_reaches_the_end(folder):
    seen = []
    plan_of(str(folder), on_progress=lambda *numbers: seen.append(numbers))
    assert seen == [(i, 11) for i in range(1, 12)]


def test_metadata_and_steps_arrive(folder):
    url = str(folder / "f0.root")
    source = {
        "DY": {
            "files": {url: {"object_path": "Events", "steps": [[50, 100], [0, 20]]}},
            "metadata": {"xsec": 1.5},
        }
    }
    (dataset,) = plan_of(source).datasets
    assert dataset.metadata == {"xsec": 1.5}
    assert dataset.files[0].steps == ((0, 20), (50, 100))
    assert dataset.n_events == 70


def test_a_second_plan_opens_no_file(folder, tmp_path, monkeypatch):
    first = plan_of(str(folder), cache=MetadataCache(tmp_path))
    monkeypatch.setattr("beampipe.datasets.counting.read_metadata", None)
    assert plan_of(str(folder), cache=MetadataCache(tmp_path)) == first


def test_real_files(real_data):
    plan = plan_of(str(real_data), chunksize=100)
    found = {
        file.file.urls[0].rpartition("/")[2]: (file.file.treename, file.file.entries)
        for file in plan.datasets[0].files
    }
    assert found == {
        "Run2012BC_DoubleMuParked_Muons_1000evts_rntuple_v1-0-0-0.root": ("Events", 1000),
        "nanoAOD_2015_CMS_Open_Data_ttbar.root": ("Events", 200),
        "nano_dimuon.root": ("Events", 40),
        "nano_dy.root": ("Events", 40),
        "nano_dy_rntuple.root": ("Events", 40),
        "nano_tt_v12.root": ("Events", 200),
        "uproot-HZZ.root": ("events", 2421),
    }
    assert plan.n_events == 3941
    assert plan.datasets[0].uncounted == ()


def test_a_plan_of_a_million_chunks_is_quick_and_small():
    files = 40_000
    began = time.process_time()
    entries = [
        FileEntry("A", (f"root://eos//store/{i}.root",), "Events", f"{i:032x}", 25 * 250_000)
        for i in range(files)
    ]
    cuts = [cut_file(file, chunksize=250_000) for file in entries]
    assert sum(cut.used_chunks for cut in cuts) == 1_000_000
    assert time.process_time() - began < 5  # 0.2 s on an idle machine


def test_the_round_trip_is_offered_here_too(folder):
    plan = plan_of(str(folder))
    assert plan_from_json(json.loads(json.dumps(plan_to_json(plan)))) == plan
