"""The parts of the race that decide what counts."""

from __future__ import annotations

import dataclasses
import sys
import zlib

import pytest
import uproot
from benchmarks.race import asking
from benchmarks.race import floor as floor_module
from benchmarks.race.__main__ import choose_cases
from benchmarks.race.asking import StandError
from benchmarks.race.cases import DATA, QUERIES, Case, all_cases
from benchmarks.race.contestants import CONTESTANTS
from benchmarks.race.files import copy, prepare
from benchmarks.race.fitting import fit
from benchmarks.race.judging import UnequalError, judge, measure_distance
from benchmarks.race.racing import Race, takes_part
from benchmarks.race.records import Records

from beampipe.datasets.samples import make_data


@pytest.fixture
def bench(tmp_path, monkeypatch):
    for module in ("files", "records"):
        monkeypatch.setattr(sys.modules[f"benchmarks.race.{module}"], "BENCH", tmp_path)
    return tmp_path


def test_one_form_must_be_equal_bit_by_bit_and_another_nearly():
    counts, moved = {"x": [0, 5_000, 5_000]}, {"x": [0, 4_999, 5_001]}
    assert judge("a", counts, "a", counts) == 0
    assert judge("a", moved, "b", counts) == pytest.approx(1e-4)
    with pytest.raises(UnequalError):
        judge("a", moved, "a", counts)
    with pytest.raises(UnequalError):
        judge("a", {"x": [0, 4_900, 5_100]}, "b", counts)
    with pytest.raises(UnequalError):
        judge("a", {"x": [0, 4_900, 5_000]}, "b", counts)
    with pytest.raises(UnequalError):
        judge("a", {"y": [0, 5_000, 5_000]}, "b", counts)


def test_the_distance_of_unequal_counts_is_never_zero():
    assert measure_distance([1, 0], [0, 1]) == 1
    assert measure_distance([1, 2], [1, 2]) == 0
    assert measure_distance([1, 2], [1, 2, 0]) == 1


def row(seconds, events, number=1):
    return {"seconds": seconds, "events": events, "round": number}


def test_fixed_cost_and_rate_come_from_two_sizes():
    rows = [row(9, 100, 0), *(row(s, 100, 1) for s in (3, 2, 4)), *(row(s, 500) for s in (6, 7, 8))]
    found = fit(rows)
    assert (found.event_s, found.fixed_s, found.rounds) == (0.01, 2, 3)
    assert found.spread == pytest.approx(8 / 6)


def test_what_was_too_short_to_tell_has_no_rate():
    assert fit([row(2, 100), row(2, 500)]) is None
    assert fit([row(2, 100)]) is None
    scattered = [row(7.0, 100), row(7.2, 100), row(8.2, 500), row(6.2, 500)]
    assert fit(scattered) is None


def test_records_survive_a_line_that_was_cut_short(bench):
    Records("race").add(who="a", round=1)
    path = bench / "race.jsonl"
    path.write_text(path.read_text() + '{"who": "b", "ro')
    records = Records("race")
    records.add(who="c", round=2)
    assert [one["who"] for one in Records("race").rows] == ["a", "c"]
    assert records.has(who="c", round=2)
    assert not records.has(who="c", round=1)


class Answers:
    """Stands that answer with what a test wants, and note what they were asked."""

    def __init__(self, **counts):
        self.counts, self.asked = counts, []

    def ask(self, stand, question):
        del stand
        self.asked.append((question["who"], len(question["paths"])))
        counts = self.counts.get(question["who"], {"met": [0, 9]})
        if isinstance(counts, Exception):
            raise counts
        return {"seconds": 1.0, "counts": counts}


SMALL = dataclasses.replace(DATA["narrow zlib"], name="small", events=200, distinct=1)
CASE = Case("q1", SMALL)


def race(bench, stands, names=("beampipe", "coffea-dask", "floor"), rounds=2):
    del bench
    said = []
    records = Records("test")
    Race(stands, records, list(names), said.append).run(CASE, rounds=rounds, quick=True)
    return records, said


def test_contestants_alternate_and_another_begins_each_round(bench):
    stands = Answers(floor={})
    records, _ = race(bench, stands)
    order = [who for who, files in stands.asked if files == 1]
    assert order[:3] == ["beampipe", "coffea-dask", "floor"]
    assert order[3:6] == ["coffea-dask", "floor", "beampipe"]
    assert len(records.find(who="beampipe")) == 2 * 3


def test_some_take_part_on_one_kind_of_data_only(bench):
    stands = Answers(floor={})
    race(bench, stands, names=("embedded", "floor"), rounds=1)
    assert {who for who, _ in stands.asked} == {"floor"}
    assert takes_part("embedded", Case("q1", DATA["narrow zlib"]))


def test_a_race_goes_on_where_it_was_stopped(bench):
    race(bench, Answers(floor={}), rounds=1)
    stands = Answers(floor={})
    race(bench, stands, rounds=1)
    assert stands.asked == []
    race(bench, stands, names=("beampipe", "rdataframe"), rounds=1)
    assert {who for who, _ in stands.asked} == {"rdataframe"}


def test_who_gives_another_result_gets_no_time(bench):
    stands = Answers(floor={}, **{"coffea-dask": {"met": [1, 8]}})
    records, said = race(bench, stands)
    assert all("seconds" not in one for one in records.find(who="coffea-dask"))
    assert any("apart" in text for text in said)
    assert all("seconds" in one for one in records.find(who="beampipe"))


def test_a_result_is_compared_with_those_of_an_earlier_sitting(bench):
    race(bench, Answers(floor={}), names=("beampipe",))
    records, _ = race(bench, Answers(rdataframe={"met": [9, 0]}), names=("rdataframe",))
    assert all("error" in one for one in records.find(who="rdataframe"))


def test_who_dies_is_out_and_the_others_go_on(bench):
    stands = Answers(floor={}, beampipe=StandError("died"))
    records, _ = race(bench, stands)
    assert len(records.find(who="beampipe")) == 1
    assert len([who for who, _ in stands.asked if who == "beampipe"]) == 1
    assert records.find(who="coffea-dask", round=2)


def test_every_case_has_two_sizes_one_of_which_all_share():
    for case in all_cases():
        quick, slow = case.sizes(), case.sizes(slow=True)
        assert quick[0] < quick[1]
        assert slow[0] < slow[1]
        assert set(quick) & set(slow)


def test_the_full_race_has_every_query_and_every_kind_of_data():
    cases = all_cases()
    assert {case.query for case in cases} == set(QUERIES)
    assert {case.data.name for case in cases} == set(DATA)


def test_cases_are_chosen_by_words():
    assert [case.name for case in choose_cases(["q5 narrow zlib"])] == ["q5, narrow zlib"]
    assert {case.data.name for case in choose_cases(["wide"])} == {"wide zlib", "wide RNTuple zstd"}
    with pytest.raises(SystemExit):
        choose_cases(["q5 wide lzma"])


def test_copies_have_the_same_events_under_another_uuid(bench):
    paths = prepare(SMALL, 3)
    files = [uproot.open(path) for path in paths]
    assert len({file.file.uuid for file in files}) == 3
    first = files[0]["Events/MET_pt"].array()
    assert (files[2]["Events/MET_pt"].array() == first).tolist() == [True] * 200
    assert prepare(SMALL, 3) == paths
    for file in files:
        file.close()
    assert (bench / "data" / "small" / "copies").is_dir()


@pytest.mark.parametrize("codec", ["none", "zlib", "zstd", "lz4", "lzma"])
@pytest.mark.parametrize("rntuple", [False, True], ids=["TTree", "RNTuple"])
def test_the_floor_reads_every_codec(codec, rntuple, tmp_path, monkeypatch):
    columns = {"q5": ["MET_pt", "Muon_pt"]}
    monkeypatch.setattr(floor_module, "COLUMNS", columns)
    path = make_data(tmp_path, files=1, events=2_000, compression=codec, rntuple=rntuple)[0]
    places = floor_module.find_bytes(str(path), "q5")
    assert sum(unpacked for *_, unpacked in places) > 2 * 2_000 * 4
    unpacked = []
    keep = floor_module.decompress
    monkeypatch.setattr(
        floor_module, "decompress", lambda data, size: unpacked.append(keep(data, size))
    )
    seconds, output = floor_module.run_floor("q5", [str(path)])
    assert seconds > 0
    assert output == {}
    assert bool(unpacked) == (codec != "none")


def test_the_floor_refuses_what_does_not_unpack_to_what_it_should():
    packed = zlib.compress(bytes(100))
    size = len(packed).to_bytes(3, "little")
    block = b"ZL\x08" + size + (100).to_bytes(3, "little") + packed
    floor_module.decompress(memoryview(block), 100)
    with pytest.raises((ValueError, KeyError)):
        floor_module.decompress(memoryview(block), 99)


def test_a_copy_is_of_a_whole_file(tmp_path):
    original = make_data(tmp_path, files=1, events=10)[0]
    copy(original, tmp_path / "copy.root", 1)
    assert (tmp_path / "copy.root").stat().st_size == original.stat().st_size
    assert not list(tmp_path.glob("*.part"))


def test_the_column_cache_is_for_the_second_run_alone(monkeypatch):
    monkeypatch.setattr(asking, "KEYS", (*asking.KEYS, asking.COLUMN_CACHE))
    assert asking.stand_settings("second") == {}
    assert asking.stand_settings("beampipe") == {"BEAMPIPE_COLUMN_CACHE": "0"}


def test_every_contestant_has_a_stand_of_its_name_or_is_in_another():
    stands = {one.stand for one in CONTESTANTS.values()}
    assert "rdataframe" in stands
    assert {"beampipe", "second", "embedded", "coffea-dask", "floor"} <= stands
