from __future__ import annotations

import pytest
import uproot
from click.testing import CliRunner

from beampipe.cli.main import cli
from beampipe.datasets.samples import COMPRESSIONS


def invoke(*arguments):
    return CliRunner().invoke(cli, ["make-data", *map(str, arguments)])


def test_it_makes_what_was_asked_for_and_says_so(tmp_path):
    folder = tmp_path / "Z → µµ 'x' \"q\""
    done = invoke(folder, "--files", 2, "--events", 30, "--extra-branches", 5, "--seed", 9)
    assert done.exit_code == 0, done.output
    assert "2 files with 30 events each (TTree, zlib" in done.stdout
    assert str(folder) in done.stdout
    assert len(list(folder.glob("*.root"))) == 2
    with uproot.open(folder / "events_001.root") as file:
        assert file["Events"].num_entries == 30
        assert "Extra00Info_x04" in file["Events"]


def test_files_that_are_there_are_kept_and_that_is_said(tmp_path):
    invoke(tmp_path, "--files", 2, "--events", 30)
    done = invoke(tmp_path, "--files", 3, "--events", 30)
    assert done.exit_code == 0
    assert "2 of them were there already" in done.stdout


def test_rntuple_and_compression_are_passed_on(tmp_path):
    done = invoke(tmp_path, "--files", 1, "--events", 30, "--rntuple", "--compression", "lz4")
    assert done.exit_code == 0
    assert "1 file with 30 events each (RNTuple, lz4" in done.stdout
    with uproot.open(tmp_path / "events_000.root") as file:
        assert file.classnames()["Events;1"] == "ROOT::RNTuple"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--files", "0"], "files = 0"),
        (["--events", "-5"], "events = -5"),
        (["--extra-branches", "9999"], "2,500"),
        (["--compression", "zip"], "There is no compression 'zip'"),
    ],
    ids=str,
)
def test_nonsense_is_a_known_error(tmp_path, arguments, words):
    done = invoke(tmp_path / "new", *arguments)
    assert done.exit_code == 1
    assert done.stdout == ""
    assert "[dataset-sample]" in done.stderr
    assert words in done.stderr
    assert not (tmp_path / "new").exists()


def test_other_files_are_not_overwritten(tmp_path):
    invoke(tmp_path, "--files", 1, "--events", 30)
    done = invoke(tmp_path, "--files", 1, "--events", 31)
    assert done.exit_code == 1
    assert "nothing is overwritten" in done.stderr


def test_the_help_names_every_compression():
    done = invoke("--help")
    assert all(name in done.stdout for name in COMPRESSIONS)
