"""Who looks after jobs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from beampipe.clusters.cluster_folder import find_state, make_tag
from beampipe.clusters.job_leases import SILENT_S, JobLease, is_our_tag, read_leases
from beampipe.errors import ClusterStartError


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state µ"))
    return find_state("leases")


def lease(**changes):
    made = JobLease.of_this_process(tag="bp-x-01234567", name="x", site="lpc", system="htcondor")
    return replace(made, **changes)


def test_a_lease_is_found_again_and_private(state):
    lease().write()
    assert read_leases() == {"bp-x-01234567": lease()}
    assert lease().is_alive
    assert (state / "bp-x-01234567.json").stat().st_mode & 0o777 == 0o600
    JobLease.remove("bp-x-01234567")
    JobLease.remove("bp-x-01234567")
    assert read_leases() == {}


def test_what_cannot_be_read_is_passed_over(state):
    lease().write()
    for name, text in {"a": "", "b": "{", "c": "[]", "d": '{"tag": "t"}'}.items():
        (state / f"{name}.json").write_text(text)
    assert list(read_leases()) == ["bp-x-01234567"]


def test_a_process_that_has_ended_looks_after_nothing():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert not lease(owner=lease().owner | {"pid": process.pid}).is_alive


@pytest.mark.parametrize(("age_s", "lives"), [(0, True), (SILENT_S + 60, False)])
def test_one_on_another_host_is_believed_for_as_long_as_it_is_heard(state, age_s, lives):
    away = lease(owner={"host": "elsewhere", "pid": 1})
    assert not away.is_alive
    away.write()
    heard_at = time.time() - age_s
    os.utime(state / "bp-x-01234567.json", (heard_at, heard_at))
    assert away.is_alive is lives
    away.beat()
    assert away.is_alive


def test_a_place_that_cannot_be_written_to_is_an_error(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with pytest.raises(ClusterStartError, match="XDG_STATE_HOME"):
        lease().write()
    lease().beat()


def test_tags_are_known_from_other_jobs():
    assert is_our_tag(make_tag("Z → µµ"))
    assert not any(map(is_our_tag, ["", "bp-", "bp-x", "analysis-01234567", "bp-x-0123456"]))
