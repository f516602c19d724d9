import dataclasses
from pathlib import Path

import pytest

from beampipe.execution.accounting import Accounting
from beampipe.execution.record import RunRecord


def test_a_record_cannot_be_changed():
    record = RunRecord(
        run_dir=Path("run µ"),
        run_id="1",
        name="Z → µµ",
        created="2026-11-20",
        status="complete",
        output={"n": 1},
        by_dataset={"DY": {"n": 1}},
        accounting=Accounting(()),
        failures=(),
        metrics={},
        provenance={},
    )
    with pytest.raises(dataclasses.FrozenInstanceError):
        record.status = "failed"
    assert dataclasses.replace(record, status="failed").output == {"n": 1}
