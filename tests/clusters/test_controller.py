"""The process that keeps a named cluster. Its whole life: test_launching.py."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import time

import pytest

from beampipe.clusters import controller
from beampipe.clusters.controller import Controller, sole_controller
from beampipe.clusters.named import Standing, Wish, find_named, new_named
from beampipe.clusters.site_files import load_site
from beampipe.errors import ClusterExistsError


@pytest.fixture
def record(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state µ"))
    made = new_named("one", load_site("local"), Wish(), began_at=time.time())
    made.write()
    return made


def test_a_cluster_has_one_controller(record):
    with sole_controller(record):
        with pytest.raises(ClusterExistsError, match="controller already"), sole_controller(record):
            pass
        second = subprocess.run(
            [sys.executable, "-m", "beampipe.clusters.controller", "one"],
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
    assert second.returncode == 1
    assert "cluster-exists" in second.stderr
    assert "Traceback" not in second.stderr
    with sole_controller(record):
        pass


def test_one_whose_record_is_gone_ends(record, monkeypatch):
    """Seen: a home was deleted, and its controllers ran on for ever."""
    monkeypatch.setattr(controller, "_BEAT_S", 0.5)

    async def story():
        keeping = asyncio.ensure_future(Controller(record).run())
        while find_named("one").standing is not Standing.RUNNING:  # noqa: ASYNC110 (a file)
            await asyncio.sleep(0.05)
        shutil.rmtree(record.folder)
        await asyncio.wait_for(keeping, 90)

    asyncio.run(story())
