"""What a gateway's jobs wrote; a real gateway with Slurm: tests/farms/test_gateway_slurm.py."""

from __future__ import annotations

import asyncio
import shutil

import pytest

from beampipe.clusters.gateway_cluster import SiteGatewayCluster
from beampipe.clusters.gateway_logs import find_log_folder, read_logs, watched_log
from beampipe.clusters.site_files import load_site
from beampipe.errors import GatewayStartError


@pytest.fixture
def site(gateway, tmp_path):
    """A gateway's site, and two logs of its first cluster; one of them is empty."""
    folder = tmp_path / "logs µ" / "c0"
    folder.mkdir(parents=True)
    (folder / "dask-scheduler-c0.log").write_text("no such 'environment'\n")
    (folder / "dask-worker-w1.log").write_text("")
    (folder / "dask.pem").write_text("SECRET")
    return load_site("gate", gateway_logs=str(folder.parent))


def test_what_is_there_is_read_and_keys_are_not(site):
    assert read_logs(site, "c0") == {"dask-scheduler-c0.log": "no such 'environment'"}
    assert read_logs(site, "c1") == {}


def test_where_there_is_no_folder_there_are_no_logs(gateway):
    assert find_log_folder(load_site("gate", gateway_logs=""), "c0") is None
    assert find_log_folder(load_site("gate", gateway_logs="~no such user/x"), "c0") is None
    assert find_log_folder(load_site("gate"), "") is None


def test_what_is_gone_is_remembered(site):
    async def story():
        async with watched_log(site, "c0") as log:
            while not log.tail:  # noqa: ASYNC110 (it is what is tested)
                await asyncio.sleep(0.01)
            shutil.rmtree(find_log_folder(site, "c0"))
            log.look()
            return log.tail

    assert asyncio.run(story()) == "no such 'environment'"


def test_a_scheduler_that_did_not_start_has_its_words_in_the_error(site, gateway):
    gateway.next_states = ["PENDING", "FAILED"]
    with pytest.raises(GatewayStartError, match="wrote: no such 'environment'") as caught:
        SiteGatewayCluster(site)
    assert "tells no reason" not in caught.value.why
    gateway.next_states = ["PENDING", "FAILED"]
    with pytest.raises(GatewayStartError, match="it tells no reason"):
        SiteGatewayCluster(load_site("gate", gateway_logs=""))
