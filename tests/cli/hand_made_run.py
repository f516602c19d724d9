"""A run made by hand behind the command line, so that a command's own work is what is tested."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from beampipe.cli.main import cli
from beampipe.execution import record_reader, runs_index
from beampipe.execution.record import RunRecord


def pretend_run(monkeypatch: pytest.MonkeyPatch, record: RunRecord) -> None:
    """Let every RUN argument stand for `record`."""
    monkeypatch.setattr(runs_index, "find_run", lambda _: record.run_dir)
    monkeypatch.setattr(record_reader, "read_record", lambda *_, **__: record)


def call(*arguments: str | Path) -> Result:
    """Call the command line as a shell would."""
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])
