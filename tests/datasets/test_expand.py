from __future__ import annotations

import pytest

from beampipe.datasets.expand import expand_files, is_single_name, natural_key
from beampipe.errors import DatasetError, FilesetFormError, NoFilesError

HOSTILE = "Z → µµ 'x' \"q\" [1].root"


@pytest.fixture
def folder(tmp_path):
    for name in ("f1.root", "f2.root", "f10.root", "notes.txt", HOSTILE, "sub/deep/a.ROOT"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for hidden in (".hidden.root", ".snapshots/f1.root"):
        path = tmp_path / hidden
        path.parent.mkdir(exist_ok=True)
        path.touch()
    (tmp_path / "empty folder").mkdir()
    return tmp_path


def expand(text, folder):
    return [path.removeprefix(f"{folder}/") for path in expand_files(text, str(folder))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("f1.root", ["f1.root"]),
        ("gone.root", ["gone.root"]),
        (HOSTILE, [HOSTILE]),
        ("f*.root", ["f1.root", "f2.root", "f10.root"]),
        ("f[12].root", ["f1.root", "f2.root"]),
        ("f?.root", ["f1.root", "f2.root"]),
        ("**/a.*", ["sub/deep/a.ROOT"]),
        ("sub", ["sub/deep/a.ROOT"]),
        ("su*", ["sub/deep/a.ROOT"]),
        (".", [HOSTILE, "f1.root", "f2.root", "f10.root", "sub/deep/a.ROOT"]),
        ("./sub/../f1.root", ["f1.root"]),
    ],
)
def test_local_names(folder, text, expected):
    assert expand(text, folder) == expected
    assert expand(f"{folder}/{text}", folder) == expected


def test_a_base_folder_with_glob_signs_is_no_pattern(tmp_path):
    base = tmp_path / "run[12]*"
    base.mkdir()
    (base / "a.root").touch()
    assert expand_files("*.root", str(base)) == [f"{base}/a.root"]


def test_a_link_that_leads_back_ends_the_search(folder):
    (folder / "sub" / "up").symlink_to(folder / "sub")
    assert expand("sub", folder) == ["sub/deep/a.ROOT"]


def test_the_home_folder(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder))
    assert expand("~/f*.root", folder) == ["f1.root", "f2.root", "f10.root"]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("g*.root", "holds"),
        ("no/such/*.root", "there is no"),
        ("no*/*.root", "nothing is there"),
        ("empty folder/*.root", "is empty"),
        ("empty folder", "ends in .root"),
        ("no/such/", "there is no"),
    ],
)
def test_nothing_found_says_why(folder, text, word):
    with pytest.raises(NoFilesError) as caught:
        expand(text, folder)
    assert word in caught.value.why
    assert text.strip("/") in str(caught.value)
    assert caught.value.fix


@pytest.mark.parametrize("text", ["a.parquet", "https://h/b.parq?x=1", "s3://b/c.PQ"])
def test_parquet_is_called_that(folder, text):
    if text.startswith("s3"):
        with pytest.raises(FilesetFormError, match="Parquet"):
            expand_files(text, str(folder))
    else:
        with pytest.raises(FilesetFormError, match="ROOT files only"):
            expand_files(text, str(folder))


def test_an_empty_name_is_refused(folder):
    with pytest.raises(FilesetFormError, match="empty"):
        expand_files(" ", str(folder))


@pytest.mark.parametrize(
    "url",
    [
        "root://eospublic.cern.ch//eos/a.root",
        "https://host/a.root?x=*",
        "s3://bucket/a[1].root",
        "simplecache::https://host/a.root",
    ],
)
def test_urls_are_kept(folder, url):
    assert expand_files(url, str(folder)) == [url]


def test_an_unknown_protocol_names_the_closest(folder):
    with pytest.raises(FilesetFormError, match="did you mean 'https'"):
        expand_files("htps://host/a.root", str(folder))


def test_remote_globs_and_folders_go_through_fsspec(folder):
    import fsspec

    for name in ("f2", "f10", "sub/f1"):
        with fsspec.open(f"memory://expand/{name}.root", "wb") as file:
            file.write(b"root")
    found = expand_files("memory://expand/*.root", str(folder))
    assert found == ["memory:///expand/f2.root", "memory:///expand/f10.root"]
    assert len(expand_files("memory://expand/", str(folder))) == 3
    with pytest.raises(NoFilesError, match="none"):
        expand_files("memory://expand/g*.root", str(folder))


def test_a_remote_glob_that_cannot_be_made_is_one_of_our_errors(folder):
    with pytest.raises(DatasetError, match=r"127\.0\.0\.1"):
        expand_files("http://127.0.0.1:9/a/*.root", str(folder))


def test_single_names(folder):
    base = str(folder)
    for name in ("f1.root", "gone.root", HOSTILE, "root://h//a.root", "https://h/a.root?b=*"):
        assert is_single_name(name, base)
    for search in ("*.root", "sub", "root://h//*.root", "https://h/dir/"):
        assert not is_single_name(search, base)


def test_natural_order_is_total():
    names = [
        f"{a}{i}{b}" for a in ("a", "b", "", "1") for i in (1, 2, 10, 100) for b in ("", "x", "01")
    ]
    forwards = sorted(names, key=natural_key)
    names.reverse()
    assert sorted(names, key=natural_key) == forwards
    assert len({str(natural_key(name)) for name in names}) == len(set(names))
