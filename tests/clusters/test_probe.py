"""What is measured on a worker."""

from __future__ import annotations

import os
import resource
import time
from types import SimpleNamespace

import pytest

from beampipe.clusters.probe import find_memory_limit, measure_worker
from beampipe.worker_environment import DEADLINE


def test_a_worker_is_measured(tmp_path, monkeypatch):
    good = tmp_path / "µ.root"
    good.write_bytes(b"root")
    monkeypatch.setenv(DEADLINE, "1234.5")
    worker = SimpleNamespace(local_directory=str(tmp_path))
    facts = measure_worker([str(good), str(tmp_path / "none")], dask_worker=worker)
    assert facts["unseen"] == {str(tmp_path / "none"): "No such file or directory"}
    assert facts["cores"] >= 1
    assert facts["scratch"] == str(tmp_path)
    assert facts["scratch_bytes"] > 0
    assert facts["folders"] == []
    named = measure_worker([], [str(tmp_path), str(good), "/no/where"])
    assert named["folders"] == [str(tmp_path)]
    assert abs(facts["time"] - time.time()) < 60
    assert facts["ends_at"] == 1234.5
    monkeypatch.delenv(DEADLINE)
    assert measure_worker([])["ends_at"] is None


@pytest.fixture
def groups(tmp_path):
    root = tmp_path / "cgroup"
    inner = root / "job_7" / "step"
    inner.mkdir(parents=True)
    (root / "memory" / "slurm" / "job_7").mkdir(parents=True)
    return tmp_path


def limit_of(groups, lines):
    (groups / "self").write_text("\n".join(lines))
    return find_memory_limit(groups / "self", groups / "cgroup")


def test_the_smallest_limit_up_to_the_top_holds(groups):
    unlimited = find_memory_limit(groups / "none", groups / "cgroup")
    assert limit_of(groups, ["0::/job_7/step"]) == unlimited
    (groups / "cgroup" / "job_7" / "step" / "memory.max").write_text("max\n")
    (groups / "cgroup" / "job_7" / "memory.max").write_text("2000000\n")
    assert limit_of(groups, ["0::/job_7/step"]) == 2_000_000
    v1 = groups / "cgroup" / "memory"
    (v1 / "memory.limit_in_bytes").write_text("9223372036854771712\n")
    (v1 / "slurm" / "job_7" / "memory.limit_in_bytes").write_text("3000000\n")
    assert limit_of(groups, ["5:cpu:/x", "4:memory:/slurm/job_7"]) == 3_000_000
    assert limit_of(groups, ["5:cpu:/x", "4:memory:/"]) == unlimited


@pytest.mark.skipif(os.name != "posix", reason="limits of address space are POSIX")
def test_a_limit_of_the_address_space_holds_too(groups, monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1_000_000, 1_000_000))
    assert limit_of(groups, []) == 1_000_000
