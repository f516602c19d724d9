"""Runs made by hand, for every test of the room."""

from __future__ import annotations

import pytest
from tests.results.runs_by_hand import make_record

from beampipe.execution.record import RunRecord


@pytest.fixture(scope="session")
def whole_record(tmp_path_factory: pytest.TempPathFactory) -> RunRecord:
    """A complete run."""
    return make_record(tmp_path_factory.mktemp("runs") / "whole 'run' µ")


@pytest.fixture(scope="session")
def holed_record(tmp_path_factory: pytest.TempPathFactory) -> RunRecord:
    """A run with a failed chunk, a file that could not be counted, and events not reached."""
    return make_record(tmp_path_factory.mktemp("runs") / "holed", complete=False)
