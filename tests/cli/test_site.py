from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from beampipe.cli.main import cli


def call(*args):
    done = CliRunner().invoke(cli, ["site", *args])
    return done.exit_code, done.output


@pytest.fixture
def profile():
    path = Path(os.environ["XDG_CONFIG_HOME"]) / "beampipe" / "sites" / "mine.toml"
    path.parent.mkdir(parents=True)
    return path


def test_sites_are_listed_with_whether_they_were_tried(profile):
    profile.write_text('like = "slurm"\ndescription = "µ"')
    code, output = call("list")
    assert code == 0
    assert "lpc" in output
    assert "from documentation, not tried" in output
    (line,) = [line for line in output.splitlines() if line.startswith("mine")]
    assert "[user; tried: not said]" in line


def test_a_profile_that_cannot_be_used_does_not_hide_the_others(profile):
    profile.write_text("queu = 1")
    code, output = call("list")
    assert code == 0
    assert re.search(r"^mine +cannot be used", output, re.MULTILINE)
    assert "slurm" in output


def test_a_site_is_shown_with_origins(profile):
    profile.write_text('like = "slurm"\nqueue = "long"')
    assert call("show", "mine") == (0, call("show", "mine")[1])
    assert 'queue = "long"' in call("show", "mine")[1]
    assert "# default" not in call("show", "mine")[1]
    output = call("show", "mine", "--origin")[1]
    assert f"# {profile}:2" in output
    assert "# default" in output


def test_a_profile_is_begun_and_checked(profile):
    code, output = call("new", "mine", "--like", "lpc")
    assert (code, output.strip()) == (0, str(profile))
    assert call("check", "mine")[0] == 0
    assert call("check", str(profile))[0] == 0
    assert call("new", "mine")[0] == 1
    assert call("new", "../mine")[0] == 2
    profile.write_text('like = "slurm"\nprocesses = 9')
    assert call("check", "mine")[0] == 1


def test_a_configuration_of_dask_jobqueue_is_imported(tmp_path):
    source = tmp_path / "jobqueue.yaml"
    source.write_text("jobqueue: {slurm: {cores: 2, log-directory: /logs}}")
    assert "cores = 2" in call("import-jobqueue", str(source))[1]
    code, output = call("import-jobqueue", str(source), "--output", str(tmp_path / "new"))
    assert code == 0
    assert "not taken over: log-directory" in output
    assert (tmp_path / "new" / "slurm.toml").is_file()
    assert call("import-jobqueue", str(source), "--output", str(tmp_path / "new"))[0] == 2
