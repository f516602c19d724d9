from __future__ import annotations

from pathlib import Path

import click
import pytest
from tests.cli.hand_made_run import call, pretend_run
from tests.results.runs_by_hand import make_mass, make_record


@pytest.fixture
def record(monkeypatch, tmp_path):
    record = make_record(tmp_path / "run 'µ'", complete=False)
    record.output.clear()
    record.output["mass"] = make_mass(1)
    pretend_run(monkeypatch, record)
    return record


def test_the_page_is_named_and_the_hole_said(record):
    result = call("report", "latest")
    assert result.exit_code == 0
    assert Path(result.stdout.strip()) == record.run_dir / "report.html"
    assert (record.run_dir / "report.html").is_file()
    assert "INCOMPLETE: 117,500 of 120,000" in result.stderr


def test_elsewhere_and_opened(record, tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr(click, "launch", opened.append)
    page = tmp_path / "new folder" / "a b.html"
    assert call("report", "latest", "--output", page, "--open").exit_code == 0
    assert opened == [page.as_uri()]


def test_a_folder_in_the_way_is_a_usage_error(record, tmp_path):
    assert call("report", "latest", "-o", tmp_path).exit_code == 2
