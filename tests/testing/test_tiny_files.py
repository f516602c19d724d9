from __future__ import annotations

import numpy as np
import pytest
import uproot

from beampipe.testing import tiny_files

NAME = "sub dir/Z → µµ 'x' \"q\".root"


@pytest.mark.parametrize("compression", [None, "zlib", "lzma", "lz4", "zstd"])
def test_a_tree_file_reads_back(tmp_path, compression):
    path = tiny_files.write_tree_file(tmp_path / NAME, events=7, compression=compression)
    with uproot.open({path: None}) as file:
        assert file["Events"].num_entries == 7
        assert np.array_equal(file["Events"]["x"].array(library="np"), np.arange(7.0))


def test_several_trees_may_lie_in_subdirectories(tmp_path):
    path = tiny_files.write_trees_file(tmp_path / NAME, {"a/Events": 3, "b": 0})
    with uproot.open({path: None}) as file:
        assert (file["a/Events"].num_entries, file["b"].num_entries) == (3, 0)


def test_a_file_without_trees_holds_a_histogram(tmp_path):
    with uproot.open({tiny_files.write_trees_file(tmp_path / NAME, {}): None}) as file:
        assert file.classnames() == {"histogram;1": "TH1D"}


def test_an_rntuple_file_reads_back(tmp_path):
    with uproot.open({tiny_files.write_rntuple_file(tmp_path / NAME, events=5): None}) as file:
        assert file["Events"].num_entries == 5
        assert file.classnames() == {"Events;1": "ROOT::RNTuple"}


def test_a_truncated_file_has_its_header_and_lacks_its_end(tmp_path):
    whole = tiny_files.write_tree_file(tmp_path / "whole.root")
    cut = tiny_files.write_truncated_file(tmp_path / NAME, keep=0.25)
    assert cut.read_bytes()[:4] == b"root"
    assert 0 < cut.stat().st_size < whole.stat().st_size / 3


def test_a_damaged_file_has_a_header_and_no_objects(tmp_path):
    path = tiny_files.write_damaged_file(tmp_path / NAME)
    data = path.read_bytes()
    assert data.startswith(b"root")
    assert set(data[100:]) == {255}


def test_an_empty_file_is_empty(tmp_path):
    assert tiny_files.write_empty_file(tmp_path / NAME).read_bytes() == b""


def test_a_text_file_is_no_root_file(tmp_path):
    assert tiny_files.write_text_file(tmp_path / NAME, "hä").read_text(encoding="utf-8") == "hä"
