"""The provider; the real server is in tests/farms/test_gateway.py."""

from __future__ import annotations

import sys

import pytest

from beampipe.clusters.opening import cluster
from beampipe.clusters.providers import find_provider
from beampipe.clusters.site_files import load_site
from beampipe.errors import GatewayOptionError, ProviderError


def preview(**overrides):
    site = load_site("gate", **overrides)
    return find_provider(site.provider).preview(site)


def test_a_preview_asks_and_starts_nothing(gateway):
    text = preview()
    assert gateway.address in text
    assert "dask-gateway-server played" in text
    assert "worker_cores = 2  # Cores; 1 to 4; from `cores`" in text
    assert "# env = {  }  # Variables" in text
    assert all(line.startswith("GET ") for line in gateway.asked)


def test_a_preview_of_what_cannot_be_sent_says_so(gateway):
    with pytest.raises(GatewayOptionError, match="takes 1 to 4"):
        preview(cores=5)


@pytest.mark.usefixtures("gateway")
def test_a_preview_without_the_gateway_shows_what_is_known():
    text = preview(gateway_address="http://127.0.0.1:1")
    assert "# address: http://127.0.0.1:1" in text
    assert "#   why: " in text
    assert "gateway-unreachable" in text


@pytest.mark.usefixtures("gateway")
def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "dask_gateway", None)
    with pytest.raises(ProviderError, match=r"beampipe\[gateway\]"):
        cluster("gate")


def test_the_shipped_ones_describe_themselves(folders):
    for name in ("purdue-slurm", "purdue-k8s", "eaf"):
        site = load_site(name)
        assert site.gateway_address in find_provider(site.provider).describe(site)
