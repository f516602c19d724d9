"""What real systems printed (tests/farms/record.py), and a job to put into their languages."""

from __future__ import annotations

from pathlib import Path

import pytest

from beampipe.batch.model import JobDescription

RECORDED = Path(__file__).parent / "recorded"


@pytest.fixture
def recorded():
    return lambda name: (RECORDED / name).read_text(encoding="utf-8")


@pytest.fixture
def fates(recorded):
    return lambda system: dict(map(str.split, recorded(f"{system}/fates.txt").splitlines()))


@pytest.fixture
def full_job():
    return JobDescription(
        name='Z → µµ, "all" of it',
        tag="bp-dimuon-1f",
        command=("dask", "worker", "tls://10.0.0.1:8786"),
        log_folder=Path("/home/me/lo gs"),
        cores=2,
        memory_bytes=4 * 2**30 + 1,
        walltime_s=5400,
        account="cms",
        environment={"BEAMPIPE_DEADLINE": "5400"},
        prologue=("module load python",),
        count=3,
        signal_ahead_s=120,
    )
