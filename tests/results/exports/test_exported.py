from __future__ import annotations

from pathlib import Path

import pytest
from tests.results.runs_by_hand import make_zoo

from beampipe.errors import ExportError
from beampipe.results.exports import EXPORTERS, export_output
from beampipe.results.exports.exported import make_member_name, mapped_errors, partial_path


def test_the_ending_names_the_format(tmp_path):
    assert export_output({"n": 1}, tmp_path / "a.json").written == ("n",)


@pytest.mark.parametrize("name", ["a.txt", "a"])
def test_an_unknown_format_names_those_there_are(tmp_path, name):
    with pytest.raises(ExportError, match="root, json, coffea, parquet"):
        export_output({"n": 1}, tmp_path / name)


@pytest.mark.parametrize("name", ["root", "json", "parquet"])
def test_nothing_that_can_be_written_is_an_error_with_reasons(tmp_path, name):
    with pytest.raises(ExportError, match="thing: a object"):
        export_output({"thing": object()}, tmp_path / "out", export_format=name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", sorted(EXPORTERS))
def test_a_place_that_cannot_be_written_is_a_known_error(tmp_path, name):
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(ExportError, match="cannot be written"):
        export_output({"met": make_zoo()["met"]}, file / "out", export_format=name)


@pytest.mark.parametrize("name", sorted(EXPORTERS))
def test_exporting_again_replaces_and_leaves_nothing_behind(tmp_path, name):
    path = tmp_path / "Z → µµ 'x' \"q\""
    for _ in range(2):
        assert export_output({"met": make_zoo()["met"]}, path, export_format=name).path == path
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", sorted(EXPORTERS))
def test_an_export_that_breaks_off_leaves_the_old_one(tmp_path, name, monkeypatch):
    path = tmp_path / "out"
    export_output({"met": make_zoo()["met"]}, path, export_format=name)

    def fill_disk(self, target):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(Path, "replace", fill_disk)
        with pytest.raises(ExportError, match="No space left"):
            export_output({"met": make_zoo()["met"]}, path, export_format=name)
    assert list(tmp_path.iterdir()) == [path]


def test_names_are_kept_apart_whatever_their_case():
    taken: set[str] = set()
    assert [make_member_name(name, taken) for name in ("a", "A", "a")] == ["a", "A-2", "a-3"]


def test_a_part_lies_beside_its_whole():
    assert partial_path(Path("x/a.root")) == Path("x/.a.root.part")


def test_only_what_the_system_says_is_mapped():
    with pytest.raises(ExportError, match="no room"), mapped_errors(Path("x")):
        raise OSError("no room")
    with pytest.raises(KeyError), mapped_errors(Path("x")):
        raise KeyError("mine")
