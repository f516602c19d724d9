"""Declared inputs on workers that do not see them."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

import beampipe as bp
from beampipe.environments import inputs
from beampipe.environments.inputs import (
    check_large_inputs,
    inputs_at,
    inputs_here,
    lay_out_inputs,
    list_inputs,
    pack_inputs,
)
from beampipe.errors import ArgumentError


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Two inputs, packed where they are and moved away."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "host"))
    (tmp_path / "host").mkdir()
    lay_out_inputs.cache_clear()
    here = tmp_path / "here µ"
    (here / "folder").mkdir(parents=True)
    (here / "weights.json").write_text("[1]")
    (here / "folder" / "good runs.txt").write_text("7")
    packed = pack_inputs([here / "weights.json", here / "folder"])
    here.rename(tmp_path / "away")
    return here, packed


def test_what_is_not_seen_is_put_on_the_host_once_and_found_by_any_of_its_names(files, tmp_path):
    here, packed = files
    places = lay_out_inputs(packed)
    assert lay_out_inputs(packed) == places
    with inputs_at(places):
        for name in (here / "weights.json", str(here / "weights.json"), "weights.json"):
            assert bp.input_path(name).read_text() == "[1]"
        for name in ("good runs.txt", "folder/good runs.txt"):
            found = bp.input_path(name)
            assert (found.read_text(), found.name) == ("7", "good runs.txt")
        with pytest.raises(FileNotFoundError, match="no declared input"):
            bp.input_path("other.json")
    root = tmp_path / "host" / f"beampipe-inputs-{os.getuid()}"
    assert root.stat().st_mode & 0o777 == 0o700
    assert found.stat().st_mode & 0o777 == 0o600


def test_what_is_seen_is_not_copied(files, tmp_path):
    here, packed = files
    (tmp_path / "away").rename(here)
    assert lay_out_inputs(packed) == {file.path: file.path for file in packed}
    lay_out_inputs.cache_clear()
    (here / "weights.json").write_text("[2]")  # another file than was packed
    with inputs_at(lay_out_inputs(packed)):
        assert bp.input_path(here / "weights.json").read_text() == "[1]"


def test_a_copy_that_was_damaged_is_written_again(files):
    _, packed = files
    place = Path(lay_out_inputs(packed)[packed[0].path])
    place.write_text("[9]")
    lay_out_inputs.cache_clear()
    assert lay_out_inputs(packed)[packed[0].path] == str(place)
    assert place.read_text() == "[1]"


def test_copies_that_nobody_used_for_long_go(files):
    _, packed = files
    old = Path(lay_out_inputs(packed[:1])[packed[0].path])
    long_ago = time.time() - 8 * 86400
    os.utime(old.parent, (long_ago, long_ago))
    lay_out_inputs(packed[1:])
    assert not old.exists()


def test_of_two_with_one_name_the_whole_path_is_wanted(files):
    here, packed = files
    twin = replace(packed[0], path=str(here / "other" / "weights.json"))
    with inputs_at(lay_out_inputs((*packed, twin))):
        with pytest.raises(FileNotFoundError, match="several inputs"):
            bp.input_path("weights.json")
        assert bp.input_path("other/weights.json").read_text() == "[1]"


def test_another_thread_has_other_inputs(files):
    _, packed = files
    found = []

    def look():
        try:
            bp.input_path("weights.json")
        except FileNotFoundError:
            found.append("nothing")

    assert inputs_here() == ()
    with inputs_at(lay_out_inputs(packed)):
        assert inputs_here() == tuple(lay_out_inputs(packed).values())
        other = threading.Thread(target=look)
        other.start()
        other.join()
    assert found == ["nothing"]


def test_outside_of_a_run_a_file_is_where_it_is(tmp_path):
    (tmp_path / "x").touch()
    assert bp.input_path(tmp_path / "x") == tmp_path / "x"


def test_what_is_too_large_is_not_sent(tmp_path, monkeypatch):
    monkeypatch.setattr(inputs, "LARGEST_BYTES", 5)
    for name in "ab":
        (tmp_path / name).write_text("1234")
    first, second = pack_inputs([tmp_path / "a", tmp_path / "b"])
    assert first.data == b"1234"
    assert second.data is None
    assert lay_out_inputs((replace(second, path="/no/where"),)) == {}


class Asked:
    """A client whose workers are this process, and see other folders."""

    def __init__(self, workers, root):
        self._workers, self._root = workers, root

    def scheduler_info(self, n_workers):
        assert n_workers
        return {"workers": dict.fromkeys(self._workers)}

    def run(self, function, files, workers, on_error):
        assert on_error == "ignore"  # a worker may go away meanwhile
        moved = [(str(self._root / Path(path).name), size) for path, size in files]
        real = {str(self._root / Path(path).name): path for path, _ in files}
        return {each: [real[path] for path in function(moved)] for each in workers}


def test_what_is_too_large_and_not_seen_by_workers_ends_the_run_before_it_begins(
    tmp_path, monkeypatch
):
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
        (folder / "model µ.onnx").write_bytes(b"x" * 50)
    packed = pack_inputs([here / "model µ.onnx"])
    check_large_inputs(Asked(["w1"], tmp_path / "none"), packed)  # it is sent
    monkeypatch.setattr(inputs, "LARGEST_BYTES", 5)
    large = pack_inputs([here / "model µ.onnx"])
    assert (large[0].data, large[0].digest) == (None, packed[0].digest)
    check_large_inputs(Asked(["w1"], there), large)
    check_large_inputs(Asked([], tmp_path / "none"), large)
    with pytest.raises(ArgumentError, match="model µ.onnx cannot reach") as caught:
        check_large_inputs(Asked(["w1"], tmp_path / "none"), large)
    assert "worker w1 does not see it" in caught.value.why
    (there / "model µ.onnx").write_bytes(b"x" * 49)
    with pytest.raises(ArgumentError, match="cannot reach"):
        check_large_inputs(Asked(["w1"], there), large)


def test_one_that_cannot_be_read_is_an_error(tmp_path):
    with pytest.raises(ArgumentError, match="cannot be read"):
        pack_inputs([tmp_path / "none"])


def test_a_folder_that_is_somebody_elses_is_not_used(files, tmp_path):
    _, packed = files
    elsewhere = tmp_path / "trap"
    elsewhere.mkdir()
    (tmp_path / "host" / f"beampipe-inputs-{os.getuid()}").symlink_to(elsewhere)
    place = Path(lay_out_inputs(packed[:1])[packed[0].path])
    assert place.read_text() == "[1]"
    assert not list(elsewhere.iterdir())


def test_where_all_is_seen_only_names_are_told(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "x").write_text("1")
    (file,) = list_inputs([tmp_path / "folder"])
    assert (file.digest, file.data) == ("", None)
    with inputs_at(lay_out_inputs((file,))):
        assert bp.input_path("x") == tmp_path / "folder" / "x"
