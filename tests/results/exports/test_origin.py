"""A file says what the run lacks that it is from."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from tests.results.runs_by_hand import HOSTILE, make_mass

from beampipe.errors import ExportError
from beampipe.results.exports import export_output, export_run
from beampipe.results.exports.origin import MEMBER, choose_output, describe_origin
from beampipe.results.result import RunResult


def check(origin):
    assert origin["complete"] is False
    assert origin["status"] == "incomplete"
    assert "117,500 of 120,000 events processed" in origin["sentence"]


@pytest.fixture
def run(holed_record):
    return replace(holed_record, output={"mass": make_mass(1), "n": 3})


def test_json(run, tmp_path):
    export_run(run, tmp_path / "o.json")
    read = json.loads((tmp_path / "o.json").read_text())
    check(read[MEMBER])
    assert read["n"] == 3
    holed = read[MEMBER]["datasets"][1]
    assert (holed["name"], holed["events_failed"], holed["files_uncounted"]) == (HOSTILE, 1500, 1)
    assert 0.15 < holed["missing_share"] < 0.16


def test_root(run, tmp_path):
    import uproot

    export_run(run, tmp_path / "o.root")
    with uproot.open(tmp_path / "o.root") as file:
        check(json.loads(str(file[MEMBER])))
        assert file["mass"].values().sum() > 0


def test_parquet(run, tmp_path):
    import awkward as ak

    pytest.importorskip("pyarrow")
    export_run(run, tmp_path / "o", export_format="parquet")
    table = ak.from_parquet(tmp_path / "o" / f"{MEMBER}.parquet")
    check(table.run[0].to_list())
    assert table.dataset.to_list() == ["DY", HOSTILE]
    assert table.events_processed.to_list() == [40_000, 77_500]


def test_coffea_files_stay_addable(run, tmp_path):
    from coffea.util import load

    export_run(run, tmp_path / "o.coffea")
    assert set(load(tmp_path / "o.coffea")) == {"mass", "n"}


def test_a_name_of_the_users_is_not_taken_away(run, tmp_path):
    export_run(replace(run, output={MEMBER: 7, "n": 1}), tmp_path / "o.json")
    assert json.loads((tmp_path / "o.json").read_text())[MEMBER] == 7
    export_run(replace(run, output=7), tmp_path / "o.json")
    assert json.loads((tmp_path / "o.json").read_text()) == 7


def test_without_a_run_there_is_nothing_to_say(tmp_path):
    export_output({"n": 1}, tmp_path / "o.json")
    assert json.loads((tmp_path / "o.json").read_text()) == {"n": 1}


def test_one_dataset(run, tmp_path):
    with pytest.warns(UserWarning, match="INCOMPLETE: 117,500 of"):
        RunResult(replace(run, by_dataset={"DY": {"n": 5}})).export(
            tmp_path / "o.json", dataset="DY"
        )
    read = json.loads((tmp_path / "o.json").read_text())
    assert read["n"] == 5
    assert [row["name"] for row in read[MEMBER]["datasets"]] == ["DY"]


@pytest.mark.parametrize(
    ("changes", "dataset", "remedy"),
    [
        ({"output": None}, None, f"--dataset: 'DY', {HOSTILE!r}"),
        ({"output": None, "by_dataset": {}}, None, "beampipe resume RUN"),
        ({}, "D", "there are 'DY'"),
        ({"by_dataset": {}}, "DY", "resume RUN` does what is missing"),
        ({"output": {}}, None, "lists the outputs"),
    ],
)
def test_nothing_to_export_has_a_remedy(run, tmp_path, changes, dataset, remedy):
    with pytest.raises(ExportError) as caught:
        export_run(replace(run, **changes), tmp_path / "o.json", dataset=dataset)
    assert remedy in caught.value.fix
    assert not list(tmp_path.iterdir())


def test_the_choice_and_the_words(whole_record):
    assert choose_output(whole_record) is whole_record.output
    assert describe_origin(whole_record)["complete"] is True
    json.dumps(describe_origin(whole_record))
