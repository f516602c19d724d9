from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import pytest
import uproot

from beampipe.datasets.samples import make_data
from beampipe.datasets.samples.making import name_files
from beampipe.errors import SampleError

FOLDER = "Z → µµ 'x' \"q\""


def met(path):
    with uproot.open(path) as file:
        return file["Events"]["MET_pt"].array(library="np")


def test_files_are_made_and_named_in_order(tmp_path):
    paths = make_data(tmp_path / FOLDER / "deep", files=3, events=50)
    assert paths == name_files(tmp_path / FOLDER / "deep", 3)
    assert [path.name for path in paths] == [
        "events_000.root",
        "events_001.root",
        "events_002.root",
    ]
    assert sorted(paths[0].parent.iterdir()) == paths
    assert not np.array_equal(met(paths[0]), met(paths[1]))


def test_a_file_depends_on_its_number_and_not_on_how_many_there_are(tmp_path):
    few = make_data(tmp_path / "few", files=1, events=50, seed=3)
    many = make_data(tmp_path / "many", files=3, events=50, seed=3)
    np.testing.assert_array_equal(met(few[0]), met(many[0]))
    other = make_data(tmp_path / "other", files=1, events=50, seed=4)
    assert not np.array_equal(met(few[0]), met(other[0]))


def test_what_was_made_from_the_same_recipe_is_kept(tmp_path):
    first = make_data(tmp_path, files=2, events=50)
    before = [path.stat() for path in first]
    seen = []
    again = make_data(tmp_path, files=3, events=50, on_file=lambda *what: seen.append(what))
    assert [path.stat().st_mtime_ns for path in again[:2]] == [b.st_mtime_ns for b in before]
    assert [path.stat().st_ino for path in again[:2]] == [b.st_ino for b in before]
    assert seen == [(again[0], False), (again[1], False), (again[2], True)]


@pytest.mark.parametrize("other", [{"events": 51}, {"seed": 2}, {"compression": "zstd"}], ids=str)
def test_another_sample_is_not_overwritten(tmp_path, other):
    (path,) = make_data(tmp_path, files=1, events=50)
    before = path.read_bytes()
    with pytest.raises(SampleError, match="in the way"):
        make_data(tmp_path, files=2, **{"events": 50, **other})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_somebody_elses_file_is_not_overwritten(tmp_path):
    mine = tmp_path / "events_001.root"
    mine.write_text("years of work")
    with pytest.raises(SampleError, match="events_001"):
        make_data(tmp_path, files=2, events=50)
    assert mine.read_text() == "years of work"


def test_a_dangling_link_is_in_the_way_too(tmp_path):
    (tmp_path / "events_000.root").symlink_to(tmp_path / "nowhere")
    with pytest.raises(SampleError, match="in the way"):
        make_data(tmp_path, files=1, events=50)


@pytest.mark.parametrize("files", [0, -1, 2.0, "3", 100_001])
def test_a_senseless_number_of_files_is_refused(tmp_path, files):
    with pytest.raises(SampleError, match="files"):
        make_data(tmp_path / "new", files=files)
    assert not (tmp_path / "new").exists()


def test_a_directory_that_is_a_file_is_named(tmp_path):
    (tmp_path / "taken").touch()
    with pytest.raises(SampleError, match="taken"):
        make_data(tmp_path / "taken", files=1, events=10)


@pytest.mark.usefixtures("no_privilege")
def test_a_directory_without_permission_is_named(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(SampleError, match="PermissionError"):
        make_data(tmp_path, files=1, events=10)


def test_a_full_disk_is_said_and_stops_the_rest(tmp_path, monkeypatch):
    asked = []

    def fail(path, recipe, index):
        asked.append(index)
        time.sleep(0.02)  # as long as a file takes at least, so that the first can be heard of
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("beampipe.datasets.samples.writing.write_file", fail)
    with pytest.raises(SampleError, match="No space left on device"):
        make_data(tmp_path, files=200, events=10)
    assert len(asked) < 200


def test_it_works_where_there_is_no_main_file(tmp_path):
    code = "import sys; from beampipe.datasets.samples import make_data\n"
    code += "print(len(make_data(sys.argv[1], files=2, events=20)))"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "2\n"
    assert done.stderr == ""


def test_it_loads_nothing_heavy_before_it_is_called():
    code = "import beampipe.datasets.samples, sys; print({'uproot', 'awkward'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
