import json
import os
import shutil
import time
import zipfile

import hist
import numpy as np
import pytest

from beampipe.datasets.model import DatasetPlan, Plan
from beampipe.datasets.plan_format import plan_to_json
from beampipe.errors import (
    AccumulationError,
    LedgerError,
    NotARunError,
    PlanFormatError,
    RunFormatError,
    TrustError,
)
from beampipe.execution.lease import who_am_i
from beampipe.execution.ledger import Ledger, read_segments
from beampipe.execution.manifest import DoneChunk, Manifest
from beampipe.execution.partials import Partial
from beampipe.execution.record_reader import (
    add_datasets,
    is_own_directory,
    read_failures,
    read_outcome,
    read_plan,
    read_record,
    read_summary,
    write_result,
)
from beampipe.execution.run_directory import create_run_directory, open_run_directory
from beampipe.execution.storage import write_json
from beampipe.execution.summing import sum_segments


class OnlyPickle:
    """Has no open format."""

    loaded = 0

    def __init__(self, n=1):
        self.n = n

    def __add__(self, other):
        return OnlyPickle(self.n + other.n)

    def __setstate__(self, state):
        OnlyPickle.loaded += 1
        self.__dict__.update(state)


@pytest.fixture
def plan(make_file_plan, hostile_name):
    files = {name: make_file_plan("u", dataset=name) for name in (hostile_name, "TT")}
    return Plan(tuple(DatasetPlan(name, (file,)) for name, file in files.items()), 25)


@pytest.fixture
def directory(tmp_path, plan, run_id):
    run = {"run_id": run_id, "name": "Z → µµ", "created": "2026-11-20", "provenance": {"a": 1}}
    return create_run_directory(
        tmp_path / "run 'µ'", run=run, plan=plan_to_json(plan), processor=b""
    )


@pytest.fixture
def commit(directory, run_id):
    """Commit partials, and leave the run as a driver does that is finished, or is killed."""

    def commit(*partials, status=None, driver="driver", **outcome):
        ledger = Ledger.take(directory, run_id=run_id, driver=driver)
        for partial in partials:
            ledger.commit(partial)
        if status is not None:
            outcome = {"status": status, "driver": driver, "metrics": {"wall_s": 2.0}} | outcome
            write_json(directory.outcome_file, outcome)
        ledger.release()
        return list(read_segments(directory, run_id))

    return commit


def keep_result(directory, segments, output, by_dataset):
    write_result(directory, segments, output, by_dataset)
    assert zipfile.ZipFile(directory.result_file).testzip() is None


# -- what a run is --------------------------------------------------------------------------


def test_a_complete_run(directory, commit, make_partial, hostile_name):
    commit(
        make_partial(0, 1),
        make_partial(2, 3),
        make_partial(*range(4), dataset="TT"),
        status="complete",
    )
    record = read_record(directory.path)
    assert record.status == "complete"
    assert record.by_dataset == {hostile_name: {"n": 100}, "TT": {"n": 100}}
    assert record.output == {"n": 200}
    assert record.accounting.is_complete
    assert record.failures == ()
    assert record.metrics == {"wall_s": 2.0}
    assert (record.name, record.provenance) == ("Z → µµ", {"a": 1})
    assert record.run_dir == directory.path
    summary = read_summary(directory.path)
    assert (summary.status, summary.accounting) == ("complete", record.accounting)


def test_a_run_that_was_killed_is_interrupted_and_gives_what_is_committed(
    directory, commit, make_partial, make_failed
):
    commit(make_partial(0, failed=(make_failed(k=1, start=25, stop=50),)))
    record = read_record(directory.path)
    assert record.status == read_summary(directory.path).status == "interrupted"
    assert record.output == {"n": 25}
    sums = record.accounting.datasets[0]
    assert (sums.events_processed, sums.events_failed, sums.events_not_reached) == (25, 25, 50)
    assert record.failures == read_failures(directory.path)
    assert record.failures[0].message == make_failed().message


def test_a_run_without_any_segment(directory):
    record = read_record(directory.path)
    assert record.output is None
    assert record.by_dataset == {}
    assert read_summary(directory.path).accounting == record.accounting


def test_a_run_whose_driver_lives_is_running(directory, commit, make_partial):
    commit(make_partial(0), status="incomplete")
    lease = {**who_am_i(), "host": "elsewhere", "driver": "x", "time": time.time()}
    write_json(directory.lease_file, lease)
    assert read_summary(directory.path).status == read_record(directory.path).status == "running"


def test_what_an_earlier_driver_left_is_not_taken_for_the_last_word(
    directory, commit, make_partial
):
    """The first was interrupted and told so; the second was killed after it had done more."""
    commit(make_partial(0), status="failed", driver="one", accounting=[])
    assert read_outcome(directory)["status"] == "failed"
    commit(make_partial(1), driver="two")
    assert read_outcome(directory) == {}
    summary = read_summary(directory.path)
    assert summary.status == "interrupted"
    assert summary.accounting.events_processed == 50
    assert summary.metrics == {}


def test_complete_means_that_the_ledger_says_so(directory, commit, make_partial):
    commit(make_partial(0), status="complete")
    assert read_record(directory.path).status == "incomplete"
    assert read_summary(directory.path).status == "incomplete"


@pytest.mark.parametrize("text", ["", "[]", "{", '{"status": 7, "accounting": [{"a": 1}]}', "7"])
def test_an_outcome_that_makes_no_sense_is_made_up_for(directory, commit, make_partial, text):
    commit(make_partial(0))
    directory.outcome_file.write_text(text)
    assert read_summary(directory.path).accounting.events_processed == 25
    assert read_record(directory.path).accounting.events_processed == 25


def test_chunks_of_earlier_drivers_are_reused(directory, commit, make_partial):
    commit(make_partial(0, 1), status="failed")
    commit(make_partial(2), status="incomplete", driver="two", reused_segments=[1])
    sums = read_record(directory.path).accounting.datasets[0]
    assert (sums.chunks_reused, sums.chunks_processed) == (2, 3)


@pytest.mark.parametrize("text", ["", "{", "[]", "\xff"])
def test_a_damaged_plan_is_said(directory, text):
    directory.plan_file.write_bytes(text.encode("latin-1"))
    for read in (read_record, read_summary, read_failures):
        with pytest.raises(NotARunError, match="plan of .* cannot be read"):
            read(directory.path)


def test_a_plan_of_another_version_is_said_by_its_own_error(directory, plan):
    assert read_plan(directory, {}) == plan
    write_json(directory.plan_file, plan_to_json(plan) | {"version": 99})
    with pytest.raises(PlanFormatError, match="99"):
        read_plan(directory, {})


def test_a_newer_segment_is_refused(directory, commit, make_partial):
    commit(make_partial(0))
    path = directory.segments / "000001.zip"
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    data = json.loads(members["manifest.json"]) | {"version": 2, "beampipe": "9.9"}
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, json.dumps(data) if name == "manifest.json" else text)
    with pytest.raises(RunFormatError, match=r"Beampipe 9\.9"):
        read_record(directory.path)


# -- sums -----------------------------------------------------------------------------------


def test_segments_are_added_in_the_order_of_the_events(commit, make_partial, hostile_name):
    segments = commit(*(make_partial(k, value=[k]) for k in (2, 0, 3, 1)))
    assert sum_segments(segments, trust=False) == {hostile_name: [0, 1, 2, 3]}


def test_histograms_and_arrays_add_up(directory, commit, make_partial):
    def value(k):
        mass = hist.Hist.new.Reg(4, 0, 4).Weight().fill([k], weight=[2.0])
        return {"mass": mass, "array": np.full(2, k)}

    commit(*(make_partial(k, value=value(k)) for k in range(4)))
    output = read_record(directory.path).output
    assert output["mass"].values().tolist() == [2.0] * 4
    assert output["array"].tolist() == [6, 6]


def test_the_same_events_are_not_added_twice(commit, make_partial):
    segments = commit(make_partial(0, 1))
    with pytest.raises(LedgerError, match="same events"):
        sum_segments([*segments, *segments], trust=False)


def test_chunks_without_events_have_no_value(commit, hostile_name, make_partial):
    empty = Partial(Manifest(hostile_name, (DoneChunk("u", 3, 4, 100, 100),)))
    segments = commit(empty, make_partial(0))
    assert sum_segments(segments, trust=False) == {hostile_name: {"n": 25}}


def test_datasets_are_added_without_changing_any():
    by_dataset = {"a": {"x": [1]}, "b": {"x": [2], "y": 1}}
    assert add_datasets(by_dataset) == {"x": [1, 2], "y": 1}
    assert by_dataset == {"a": {"x": [1]}, "b": {"x": [2], "y": 1}}
    assert add_datasets({}) is None
    with pytest.raises(AccumulationError, match="dataset 'b'"):
        add_datasets({"a": {"x": 1}, "b": {"x": "text"}})


def test_datasets_that_do_not_add_up_can_still_be_had_one_by_one(directory, commit, make_partial):
    commit(make_partial(0), make_partial(0, dataset="TT", value={"n": "text"}))
    record = read_record(directory.path)
    assert record.output is None
    assert record.by_dataset["TT"] == {"n": "text"}


# -- the kept result ------------------------------------------------------------------------


def test_the_kept_result_is_used_while_it_is_of_these_segments(
    directory, commit, make_partial, hostile_name
):
    segments = commit(make_partial(0))
    keep_result(directory, segments, {"finished": "µ"}, {hostile_name: {"n": 25}})
    record = read_record(directory.path)
    assert (record.output, record.by_dataset) == ({"finished": "µ"}, {hostile_name: {"n": 25}})
    commit(make_partial(1), driver="two")
    assert read_record(directory.path).output == {"n": 50}


def test_the_kept_result_is_not_used_when_a_segment_is_void_or_another_one(
    directory, commit, make_partial
):
    segments = commit(make_partial(0), make_partial(1))
    keep_result(directory, segments, {"n": "kept"}, {})
    assert read_record(directory.path).output == {"n": "kept"}
    first = directory.segments / "000001.zip"
    whole = first.read_bytes()
    first.write_bytes(whole[:-5])
    assert read_record(directory.path).output == {"n": 25}
    first.write_bytes(whole)
    (directory.claims / "000002.void").touch()
    assert read_record(directory.path).output == {"n": 25}


def test_a_damaged_or_newer_kept_result_is_done_without(directory, commit, make_partial):
    segments = commit(make_partial(0))
    keep_result(directory, segments, {"n": "kept"}, {})
    data = bytearray(directory.result_file.read_bytes())
    for length in range(0, len(data), 7):
        directory.result_file.write_bytes(data[:length])
        assert read_record(directory.path).output == {"n": 25}
    for place in range(len(data)):
        data[place] ^= 0x10
        directory.result_file.write_bytes(data)
        data[place] ^= 0x10
        assert read_record(directory.path).output in ({"n": 25}, {"n": "kept"})
    with zipfile.ZipFile(directory.result_file, "w") as archive:
        archive.writestr("index.json", json.dumps({"format": "beampipe-result", "version": 2}))
    assert read_record(directory.path).output == {"n": 25}


# -- trust ----------------------------------------------------------------------------------


@pytest.fixture
def needs_pickle(commit, make_partial):
    OnlyPickle.loaded = 0
    return commit(make_partial(0, value={"mine": OnlyPickle(7)}))


def test_pickles_from_ones_own_directory_are_loaded(directory, needs_pickle):
    assert is_own_directory(directory.path)
    assert read_record(directory.path).output["mine"].n == 7


PARTS = [".", "segments", "segments/000001.zip", "result.zip", "processor.pkl"]


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("how", ["group may write", "others may write", "of another user"])
def test_pickles_that_others_could_have_put_there_are_not(
    directory, needs_pickle, make_partial, part, how
):
    keep_result(directory, needs_pickle, {"mine": OnlyPickle(8)}, {})
    OnlyPickle.loaded = 0
    path = directory.path / part
    if how == "of another user":
        if os.getuid():
            pytest.skip("only root may give files away")
        os.chown(path, 12345, -1)
    else:
        path.chmod(path.stat().st_mode | (0o020 if how.startswith("group") else 0o002))
    assert not is_own_directory(directory.path)
    with pytest.raises(TrustError, match="OnlyPickle"):
        read_record(directory.path)
    assert OnlyPickle.loaded == 0
    assert read_summary(directory.path).accounting.events_processed == 25
    assert read_record(directory.path, trust=True).output["mine"].n == 8


def test_trust_can_be_refused_in_ones_own_directory(directory, needs_pickle):
    with pytest.raises(TrustError):
        read_record(directory.path, trust=False)
    assert OnlyPickle.loaded == 0


def test_open_formats_are_loaded_from_anywhere(directory, commit, make_partial):
    segments = commit(make_partial(0))
    directory.path.chmod(0o777)
    assert read_record(directory.path).output == {"n": 25}
    keep_result(directory, segments, {"n": "kept"}, {})
    assert read_record(directory.path).output == {"n": "kept"}


def test_a_sum_is_not_given_in_place_of_a_result_that_needs_trust(directory, commit, make_partial):
    """The processor's `postprocess` made something else of it."""
    segments = commit(make_partial(0))
    keep_result(directory, segments, OnlyPickle(), {})
    directory.path.chmod(0o777)
    with pytest.raises(TrustError):
        read_record(directory.path)


def test_a_copied_or_linked_run_is_the_same_run(directory, commit, make_partial, tmp_path):
    commit(make_partial(0), status="failed")
    copy = tmp_path / "copy"
    shutil.copytree(directory.path, copy)
    link = tmp_path / "link"
    link.symlink_to(copy)
    assert read_record(copy).output == read_record(link).output == {"n": 25}
    assert read_summary(link).status == "failed"


def test_what_happened_on_the_way_is_read_back(directory, commit, make_partial):
    incidents = [{"what": "retry", "text": "x", "count": 2}, "not an incident"]
    commit(
        make_partial(0),
        status="incomplete",
        incidents=incidents,
        accepted_changes=["a", "b", "a"],
    )
    for read in (read_record(directory.path), read_summary(directory.path)):
        assert read.incidents == (incidents[0],)
        assert read.accepted_changes == ("a", "b")
    commit(make_partial(1), status="incomplete", incidents=7, accepted_changes=None)
    assert read_summary(directory.path).incidents == ()
    assert set(read_record(directory.path).metadata) == {
        d.name for d in read_plan(*open_run_directory(directory.path)).datasets
    }
