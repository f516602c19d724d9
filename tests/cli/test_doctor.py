from __future__ import annotations

import json

from click.testing import CliRunner

from beampipe.checks import Finding
from beampipe.cli.main import cli


def call(monkeypatch, *findings, args=()):
    asked = []

    def examine(site, **how):
        asked.append((site, how["processor"], how["fileset"], how["patience_s"]))
        how["say"]("jobs asked for: 1; 1 pending")
        yield from findings

    monkeypatch.setattr("beampipe.runs.doctor.examine", examine)
    return CliRunner().invoke(cli, ["doctor", *args]), asked


def test_findings_are_printed_and_errors_are_the_exit_code(monkeypatch):
    bad = Finding("paths", "error", "the worker sees nothing", "move the files")
    args = ("--on", "lpc", "--processor", "a.py:p", "--fileset", "x", "--fileset", "y")
    done, asked = call(monkeypatch, Finding("clock", "ok", "fine"), bad, args=args)
    assert done.exit_code == 1
    assert "fix: move the files" in done.output
    assert "error    paths            the worker sees nothing" in done.output
    assert done.stdout.endswith("\n2 findings, 1 to mend\n")
    assert "waiting: jobs asked for" in done.stderr
    assert asked == [("lpc", "a.py:p", ["x", "y"], 60.0)]
    done, asked = call(monkeypatch, Finding("scratch", "warning", "little", "x"))
    assert done.exit_code == 0
    assert done.stdout.endswith("\n1 findings, 1 to know of\n")
    assert asked == [(None, None, None, 60.0)]


def test_as_json(monkeypatch):
    done, _ = call(monkeypatch, Finding("clock", "ok", "fine"), args=("--json", "--wait", "5"))
    assert json.loads(done.stdout) == [
        {"code": "clock", "status": "ok", "fact": "fine", "remedy": ""}
    ]


def test_where_all_is_well_that_is_said(monkeypatch):
    done, _ = call(monkeypatch, Finding("clock", "ok", "fine"))
    assert done.stdout.endswith("\nall is well\n")


def test_a_site_without_its_option_is_guessed():
    done = CliRunner().invoke(cli, ["doctor", "slurm"])
    assert done.exit_code == 2
    assert "Did you mean '--on slurm'?" in done.output
    assert "Did you mean" not in CliRunner().invoke(cli, ["doctor", "nowhere"]).output
    assert "Did you mean" not in CliRunner().invoke(cli, ["run"]).output
