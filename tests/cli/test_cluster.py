from __future__ import annotations

from click.testing import CliRunner

from beampipe.cli.main import cli
from beampipe.clusters import detection


def call(*args):
    done = CliRunner().invoke(cli, ["cluster", *args])
    return done.exit_code, done.output


def test_a_preview_shows_what_would_be_submitted():
    code, output = call("preview", "--on", "slurm")
    assert code == 0
    assert "#SBATCH --time=01:00:00" in output
    assert "sbatch --parsable" in output


def test_the_site_of_this_host_is_said(monkeypatch):
    monkeypatch.setattr(detection.socket, "getfqdn", lambda: "cmslpc3.fnal.gov")
    code, output = call("preview")
    assert code == 0
    assert output.startswith("# site 'lpc'")
    assert "condor_submit" in output


def test_an_unknown_site_is_an_error():
    assert call("preview", "--on", "slrum")[0] == 1
