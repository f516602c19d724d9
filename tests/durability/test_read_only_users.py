"""Looking at a run that one cannot write to."""

import pytest
from click.testing import CliRunner
from tests.durability.small_run import EXPECTED, lay_out_small_run, work, write_source

import beampipe
from beampipe.cli.main import cli


@pytest.fixture
def foreign_run(tmp_path, no_privilege):
    """A finished run in which nothing may be written."""
    source, path = tmp_path / "000012.zip", tmp_path / "run"
    write_source(source)
    lay_out_small_run(path)
    work(path, source)
    folders = [path, path / "claims", path / "segments"]
    for folder in folders:
        for entry in folder.iterdir():
            entry.chmod(0o555 if entry.is_dir() else 0o444)
        folder.chmod(0o555)
    (path / "processor.pkl").chmod(0o000)  # it is its owner's alone
    yield path
    for folder in folders:
        folder.chmod(0o755)


def list_all(path):
    return sorted((entry, entry.stat().st_mtime_ns) for entry in path.rglob("*"))


@pytest.mark.parametrize("more", [[], ["--json"]])
@pytest.mark.parametrize("command", ["show", "verify"])
def test_show_and_verify(foreign_run, command, more):
    with pytest.raises(PermissionError):
        (foreign_run / "x").write_text("")
    before = list_all(foreign_run)
    done = CliRunner().invoke(cli, [command, str(foreign_run), *more])
    assert done.exit_code == 0, done.output
    assert list_all(foreign_run) == before


def test_load(foreign_run):
    result = beampipe.load(foreign_run)
    assert result.output == EXPECTED
    assert result.status == "complete"
    assert beampipe.verify(foreign_run).is_complete


@pytest.mark.parametrize("name", ["result.zip", "outcome.json"])
def test_load_of_one_without_what_can_be_lost(foreign_run, name):
    foreign_run.chmod(0o755)
    (foreign_run / name).unlink()
    foreign_run.chmod(0o555)
    assert beampipe.load(foreign_run).output == EXPECTED


def test_resume_is_refused_with_a_reason(foreign_run):
    with pytest.raises(beampipe.BeampipeError, match=r"run-storage|run-trust"):
        beampipe.resume(foreign_run, client="inline", progress=False)


@pytest.mark.parametrize("folder", ["segments", "claims"])
def test_a_folder_that_may_not_be_looked_into_is_not_taken_for_an_empty_one(foreign_run, folder):
    """Seen: the run looked as if nothing had been done, and all would have been done again."""
    (foreign_run / folder).chmod(0o000)
    with pytest.raises(beampipe.BeampipeError, match="permission denied"):
        beampipe.load(foreign_run)
    proof = beampipe.verify(foreign_run)
    assert not proof.is_proved
    assert "cannot be listed" in proof.errors[0]
