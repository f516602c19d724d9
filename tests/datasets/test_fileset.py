from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from beampipe.datasets.fileset import read_fileset
from beampipe.datasets.model import DatasetSpec, FileSpec
from beampipe.datasets.planning import make_plan
from beampipe.errors import (
    DatasetError,
    FileMissingError,
    FilesetFileError,
    FilesetFormError,
    NoFilesError,
)
from beampipe.testing import tiny_files

HOSTILE = "Z → µµ 'x' \"q\".root"
REMOTE = "root://eospublic.cern.ch:1094//eos/a.root"
UUID = "a9490124-3648-11ea-89e9-f5b55c90beef"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A current folder with dy/a.root, dy/b.root and a hostile name; none is a real file."""
    for name in ("dy/a.root", "dy/b.root", HOSTILE):
        path = tmp_path / "work" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def files_of(source, **options):
    """{dataset: [(urls relative to here, tree), ...]}"""
    prefix = f"{Path.cwd()}/"
    return {
        name: [
            (tuple(url.removeprefix(prefix) for url in file.urls), file.treename)
            for file in spec.files
        ]
        for name, spec in read_fileset(source, **options).items()
    }


A, B, H = (("dy/a.root",), None), (("dy/b.root",), None), ((HOSTILE,), None)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("dy/a.root", {"data": [A]}),
        (Path("dy/a.root"), {"data": [A]}),
        (HOSTILE, {"data": [H]}),
        ("dy", {"data": [A, B]}),
        ("dy/*.root", {"data": [A, B]}),
        (REMOTE, {"data": [((REMOTE,), None)]}),
        (["dy/b.root", Path("dy/a.root")], {"data": [B, A]}),
        (("dy/b.root", "dy/a.root"), {"data": [B, A]}),
        ({"dy/b.root", "dy/a.root"}, {"data": [A, B]}),
        ({"f10.root", "f9.root"}, {"data": [(("f9.root",), None), (("f10.root",), None)]}),
        ({"DY": "dy", "µµ": [HOSTILE]}, {"DY": [A, B], "µµ": [H]}),
        ({"DY": Path("dy")}, {"DY": [A, B]}),
        ({"DY": ["dy/*.root", HOSTILE]}, {"DY": [A, B, H]}),
        # uproot's way to name a tree
        ("dy/a.root:T", {"data": [(("dy/a.root",), "T")]}),
        ("dy/*.root:d//T", {"data": [(("dy/a.root",), "d/T"), (("dy/b.root",), "d/T")]}),
        ({"DY": [f"{REMOTE}:T"]}, {"DY": [((REMOTE,), "T")]}),
        # coffea's forms
        ({"DY": {"treename": "T", "files": ["dy/a.root"]}}, {"DY": [(("dy/a.root",), "T")]}),
        ({"DY": {"files": {"dy/a.root": "T"}}}, {"DY": [(("dy/a.root",), "T")]}),
        ({"DY": {"files": {"dy/a.root": None}}}, {"DY": [A]}),
        ({"DY": {"dy/a.root": "T"}}, {"DY": [(("dy/a.root",), "T")]}),
        ({"A": {"files": {"dy/*": "T"}}}, {"A": [(("dy/a.root",), "T"), (("dy/b.root",), "T")]}),
        ({"dy/a.root": "T"}, {"data": [(("dy/a.root",), "T")]}),
        ({"files": "dy/a.root", "treename": "T"}, {"data": [(("dy/a.root",), "T")]}),
        ({"files": ["dy/a.root"]}, {"files": [A]}),
        # CMS gives datasets such names
        ({"/DY/Run2018-v1/NANOAODSIM": ["dy"]}, {"/DY/Run2018-v1/NANOAODSIM": [A, B]}),
        ({"/DY/Run2018/NANO": "dy"}, {"/DY/Run2018/NANO": [A, B]}),
        # replicas
        ({"DY": [["dy/a.root", REMOTE], "dy/b.root"]}, {"DY": [(("dy/a.root", REMOTE), None), B]}),
        ([["dy/a.root:T", Path("dy/b.root")]], {"data": [(("dy/a.root", "dy/b.root"), "T")]}),
        ([["dy/a.root", "./dy/a.root"]], {"data": [A]}),
        (
            {"DY": {"files": {"dy/a.root": {"object_path": "T", "replicas": [REMOTE]}}}},
            {"DY": [(("dy/a.root", REMOTE), "T")]},
        ),
        ([{"replicas": ["dy/a.root", REMOTE]}], {"data": [(("dy/a.root", REMOTE), None)]}),
    ],
)  # fmt: skip
def test_every_form(here, source, expected):
    assert files_of(source) == expected


def test_a_generator_of_paths(here):
    assert files_of(path for path in [here / "dy/a.root"]) == {"data": [A]}


def test_the_tree_that_is_nearest_to_the_file_counts(here):
    source = {"A": {"treename": "set", "files": ["dy/a.root:own", "dy/b.root"]}, "B": HOSTILE}
    assert [[tree for _, tree in files] for files in files_of(source, treename="all").values()] == [
        ["own", "set"],
        ["all"],
    ]
    source = {"A": {"treename": "set", "files": {"dy/a.root": "own", "dy/b.root": None}}}
    assert [tree for _, tree in files_of(source, treename="/all/")["A"]] == ["own", "set"]


def test_a_file_with_a_colon_in_its_own_name(here):
    (here / "a.root:T").touch()
    assert files_of("a.root:T") == {"data": [(("a.root:T",), None)]}


def test_glob_signs_in_a_name_that_exists(here):
    (here / "a[1]*.root").touch()
    assert files_of("a[1]*.root") == {"data": [(("a[1]*.root",), None)]}
    assert files_of({"DY": [["a[1]*.root", "dy/a.root"]]})["DY"][0][0] == (
        "a[1]*.root",
        "dy/a.root",
    )


PREPROCESSED = {
    "DY": {
        "files": {
            REMOTE: {
                "object_path": "Events",
                "steps": [[20, 40], [0, 20]],
                "num_entries": 40,
                "uuid": UUID,
            }
        },
        "form": None,
        "metadata": {"xsec": 6077.22},
    }
}
EXPECTED = DatasetSpec(
    "DY",
    (FileSpec((REMOTE,), "Events", ((0, 20), (20, 40)), 40, UUID),),
    {"xsec": 6077.22},
)


def test_coffeas_preprocessed_form():
    assert read_fileset(PREPROCESSED) == {"DY": EXPECTED}


def test_coffeas_own_objects():
    from coffea.dataset_tools.filespec import DataGroupSpec
    from coffea.dataset_tools.filespec import DatasetSpec as CoffeaDataset

    group = DataGroupSpec(PREPROCESSED)
    assert read_fileset(group) == {"DY": EXPECTED}
    assert read_fileset({"DY": group["DY"]}) == {"DY": EXPECTED}
    assert read_fileset(group["DY"])["data"].files == EXPECTED.files
    plain = CoffeaDataset(files={REMOTE: "Events"}, metadata={"a": 1})
    assert read_fileset({"X": plain})["X"].files == (FileSpec((REMOTE,), "Events"),)
    parquet = DataGroupSpec({"P": {"files": {"/a.parquet": None}}})
    with pytest.raises(FilesetFormError, match="ROOT files only"):
        read_fileset(parquet)


def test_coffea_is_not_loaded():
    code = (
        "import sys; from beampipe.datasets.fileset import read_fileset; read_fileset(['/a.root']);"
        "print(sorted({'coffea', 'uproot', 'fsspec', 'yaml', 'awkward'} & set(sys.modules)))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_our_own_objects():
    assert read_fileset({"DY": EXPECTED}) == {"DY": EXPECTED}
    assert read_fileset(EXPECTED) == {"DY": EXPECTED}
    assert read_fileset({"other": EXPECTED})["other"].name == "other"
    assert read_fileset({"DY": EXPECTED.files})["DY"].files == EXPECTED.files


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "f.toml",
            f"DY = 'dy/*.root'\n[X]\nfiles = ['../work/{HOSTILE[0]}*.root']\n[X.metadata]\na=1",
        ),
        (
            "f.json",
            json.dumps({"DY": "dy/*.root", "X": {"files": [HOSTILE], "metadata": {"a": 1}}}),
        ),
        ("f.yaml", "DY: dy\nX: {files: [Z*.root], metadata: {a: 1}}"),
    ],
)
def test_a_file_counts_paths_from_its_own_folder(here, monkeypatch, tmp_path, name, text):
    (here / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    found = read_fileset(f"work/{name}")
    assert [file.urls for file in found["DY"].files] == [
        (f"{here}/dy/a.root",),
        (f"{here}/dy/b.root",),
    ]
    assert found["X"] == DatasetSpec("X", (FileSpec((f"{here}/{HOSTILE}",)),), {"a": 1})
    assert read_fileset(here / name) == found


def test_a_file_may_hold_a_list(here):
    (here / "f.json").write_text('["dy/a.root"]')
    assert files_of("f.json") == {"data": [A]}


def test_mistakes_in_a_file_name_the_file(here):
    (here / "µ.toml").write_text("[DY]\nfile = ['dy/a.root']")
    with pytest.raises(FilesetFormError, match=r"µ\.toml") as caught:
        read_fileset("µ.toml")
    assert "did you mean 'files'" in caught.value.why
    (here / "µ.yaml").write_text("")
    with pytest.raises(FilesetFormError, match=r"µ\.yaml"):
        read_fileset("µ.yaml")
    (here / "µ.json").write_text("{}")
    with pytest.raises(FilesetFormError, match=r"µ\.json.* empty"):
        read_fileset("µ.json")
    with pytest.raises(FilesetFileError, match=r"did you mean 'µ\.json'"):
        read_fileset("µ.jsno.json")


def test_metadata_become_plain_values(here):
    (here / "f.toml").write_text("[DY]\nfiles='dy'\nmetadata={day=2018-05-01, t=[1, {a='b'}]}")
    assert read_fileset("f.toml")["DY"].metadata == {"day": "2018-05-01", "t": [1, {"a": "b"}]}
    metadata = {"x": np.float64(1.5), "n": np.int32(2), "p": Path("/a"), "t": (1, None)}
    found = read_fileset({"DY": {"files": "dy", "metadata": metadata}})["DY"].metadata
    assert found == {"x": 1.5, "n": 2, "p": "/a", "t": [1, None]}
    assert json.loads(json.dumps(found)) == found
    assert read_fileset({"DY": {"files": "dy", "metadata": None}})["DY"].metadata == {}


@pytest.mark.parametrize(
    ("source", "kind", "word"),
    [
        ({}, FilesetFormError, "empty"),
        ([], NoFilesError, "empty"),
        ({"DY": []}, NoFilesError, "DY"),
        ({"DY": {"files": []}}, NoFilesError, "DY"),
        ({"DY": {}}, FilesetFormError, "no key 'files'"),
        ({"DY": {"file": ["a.root"]}}, FilesetFormError, "did you mean 'files'"),
        ({"DY": {"files": ["a.root"], "tree": "T"}}, FilesetFormError, "did you mean 'treename'"),
        ({"DY": {"treename": "T"}}, FilesetFormError, "no key 'files'"),
        (None, FilesetFormError, "NoneType"),
        (5, FilesetFormError, "int"),
        (b"a.root", FilesetFormError, "bytes"),
        ({"DY": 5}, FilesetFormError, "'DY'"),
        ({"DY": [5]}, FilesetFormError, "int"),
        ({"DY": [{"a": 1}]}, FilesetFormError, "dict"),
        ({"DY": {"files": {5: "T"}}}, FilesetFormError, "int"),
        ({"DY": {"files": {"a.root": 5}}}, FilesetFormError, "int"),
        ({"DY": {"files": {"a.root": ["b.root"]}}}, FilesetFormError, "list"),
        ({"DY": [[]]}, FilesetFormError, "replicas is empty"),
        ({"DY": [["dy/*.root", "b.root"]]}, FilesetFormError, "must name one file"),
        ({"DY": [["dy", "b.root"]]}, FilesetFormError, "must name one file"),
        ({"DY": {"files": {"dy/*.root": {"num_entries": 5}}}}, FilesetFormError, "one file"),
        ({"DY": [["a.root:T", "b.root:U"]]}, FilesetFormError, "several trees"),
        ({"DY": {"files": {"a.root:T": "U"}}}, FilesetFormError, "several trees"),
        ({"DY": [""]}, FilesetFormError, "empty"),
        ({"": "dy"}, FilesetFormError, "name"),
        ({False: "dy"}, FilesetFormError, "quotes"),
        ({5: "dy"}, FilesetFormError, "quotes"),
        ({"DY": "none/*.root"}, NoFilesError, "there is no"),
        ({"DY": ["dy/a.parquet"]}, FilesetFormError, "Parquet"),
        ({"DY": {"files": "dy", "metadata": {"f": print}}}, FilesetFormError, "plain data"),
        ({"DY": {"files": "dy", "metadata": {"f": {1: 2}}}}, FilesetFormError, "plain data"),
        ("dy/c.root", FileMissingError, "did you mean 'dy/"),
        ("none", FileMissingError, "none"),
        ("none/", NoFilesError, "there is no"),
        ("htps://h/a.root", FilesetFormError, "'https'"),
    ],
)  # fmt: skip
def test_mistakes_are_named(here, source, kind, word):
    with pytest.raises(DatasetError) as caught:
        read_fileset(source)
    assert type(caught.value) is kind
    assert word.replace("'dy/", "'") in str(caught.value)
    assert caught.value.fix


def test_a_missing_file_among_others_waits_for_the_counting(here):
    assert files_of({"DY": ["dy/a.root", "gone.root"]})["DY"][1] == (("gone.root",), None)


def test_real_files_are_planned_from_every_form(real_data):
    nano = str(real_data / "nano_dy.root")
    forms = [
        nano,
        f"{nano}:Events",
        Path(nano),
        [nano],
        {"data": nano},
        {"data": {"files": {nano: "Events"}}},
        {"data": {"treename": "Events", "files": [nano]}},
        {"data": {"files": [[nano, "/gone.root"]]}},
        {"data": {"files": {nano: {"object_path": "Events", "num_entries": 40, "uuid": UUID}}}},
    ]
    for form in forms:
        plan = make_plan(read_fileset(form))
        assert (plan.n_events, plan.datasets[0].files[0].file.uuid) == (40, UUID)


def test_a_thousand_names_are_read_at_once(tmp_path):
    folder = tmp_path / "many"
    folder.mkdir()
    for i in range(1000):
        (folder / f"{i}.root").touch()
    (spec,) = read_fileset(folder).values()
    assert [file.urls[0] for file in spec.files] == [f"{folder}/{i}.root" for i in range(1000)]


def test_a_file_made_by_the_project_can_be_read_by_a_hostile_name(tmp_path):
    path = tiny_files.write_tree_file(tmp_path / f"::#?%20 {HOSTILE}", events=4)
    assert make_plan(read_fileset(path)).n_events == 4
    assert make_plan(read_fileset({"A": [f"{path}:Events"]})).n_events == 4
