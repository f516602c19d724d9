from __future__ import annotations

from pathlib import Path

import pytest
from tests.cli.hand_made_run import call, pretend_run
from tests.results.runs_by_hand import make_record

from beampipe.results.exports import EXPORTERS


@pytest.fixture
def record(monkeypatch, tmp_path):
    record = make_record(tmp_path / "run 'µ'")
    pretend_run(monkeypatch, record)
    return record


@pytest.mark.parametrize("name", list(EXPORTERS))
def test_every_format_has_its_place_in_the_run_directory(record, name):
    result = call("export", "latest", "--format", name)
    assert result.exit_code == 0, result.output
    path = Path(result.stdout.strip())
    assert path == record.run_dir / f"output.{name}"
    assert path.exists()


def test_what_is_not_written_is_said(record, tmp_path):
    result = call("export", "latest", "--format", "root", "--output", tmp_path / "a b.root")
    assert "not written: runs: a set" in result.stderr
    assert (tmp_path / "a b.root").is_file()


def test_the_command_offers_exactly_the_formats_there_are(record):
    assert call("export", "latest", "--format", "xlsx").exit_code == 2
    assert f"[{'|'.join(EXPORTERS)}]" in call("export", "--help").output


def test_nothing_to_write_is_a_known_error(record):
    record.output.clear()
    result = call("export", "latest", "--format", "json")
    assert result.exit_code == 1
    assert "the output is empty" in result.stderr
