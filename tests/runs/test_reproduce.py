import subprocess
import sys

import pytest

import beampipe as bp
from beampipe.errors import ArgumentError, TreeNotFoundError
from beampipe.runs.reproduce import find_failure
from beampipe.testing.tiny_files import write_tree_file, write_trees_file


@pytest.fixture
def failed(samples, analysis, tmp_path):
    """A run with holes: the second file's chunks."""
    result = bp.run(
        f"{analysis}:fail_in_the_second_file",
        samples,
        client="inline",
        chunksize=200,
        on_error="skip",
        run_dir=tmp_path / "a 'failed' run",
        progress=False,
    )
    assert len(result.failures) == 5
    return result


def test_the_same_exception_from_the_same_chunk(failed):
    for failure in failed.failures:
        with pytest.raises(ValueError, match="no luck with 200 events") as caught:
            bp.reproduce(failed.run_dir, failure=failure.number)
        assert failure.error_type == "ValueError"
        assert str(caught.value) in failure.message


def test_a_number_that_is_not_there(failed, samples, tmp_path):
    with pytest.raises(ArgumentError, match="it has 5") as caught:
        bp.reproduce(failed.run_dir, failure=6)
    assert "'\"'\"'" in caught.value.fix  # the command can be pasted
    good = bp.run(len_of, samples, client="inline", run_dir=tmp_path / "good", progress=False)
    with pytest.raises(ArgumentError, match="nothing failed"):
        find_failure(good.run_dir, 1)


def len_of(events):
    return {"n": len(events)}


def test_it_passes_when_what_was_broken_is_mended(samples, tmp_path):
    flag = tmp_path / "broken"
    flag.touch()

    def process(events, place=str(flag)):
        import pathlib

        if pathlib.Path(place).exists():
            raise OSError("broken")
        return {"n": len(events)}

    result = bp.run(
        process,
        samples,
        client="inline",
        on_error="skip",
        run_dir=tmp_path / "run",
        progress=False,
    )
    with pytest.raises(OSError, match="broken"):
        bp.reproduce(result.run_dir)
    flag.unlink()
    trial = bp.reproduce(result.run_dir)
    assert trial.output == {"n": 1000}
    assert trial.url == result.failures[0].url


def test_a_file_that_could_not_be_counted(tmp_path):
    good, bad = tmp_path / "good.root", tmp_path / "later.root"
    write_trees_file(good, {"ntuple": 10, "other": 5})
    fileset = {"DY": {"files": {str(good): "ntuple", str(bad): "ntuple"}}}
    result = bp.run(
        len_of,
        fileset,
        schema=None,
        client="inline",
        on_error="skip",
        run_dir=tmp_path / "run",
        progress=False,
    )
    assert result.output == {"n": 10}
    with pytest.raises(FileNotFoundError):
        bp.reproduce(result.run_dir)
    write_tree_file(bad, treename="else")
    with pytest.raises(TreeNotFoundError, match="ntuple"):
        bp.reproduce(result.run_dir)
    write_trees_file(bad, {"ntuple": 10, "other": 5})  # two trees, and it is known which is meant
    assert bp.reproduce(result.run_dir) is None


def test_pdb_stops_where_the_user_s_code_raised(failed):
    done = subprocess.run(
        [sys.executable, "-m", "beampipe", "reproduce", str(failed.run_dir), "--pdb"],
        input="p secret * 2\nq\n",
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 1
    assert "400" in done.stdout
    assert "no luck with 200 events" in done.stderr
    assert "src/beampipe" not in done.stderr
