from __future__ import annotations

import operator

import pytest

from beampipe.clusters import providers
from beampipe.clusters.opening import cluster
from beampipe.clusters.providers import PROVIDERS, find_provider
from beampipe.clusters.site_files import load_site
from beampipe.errors import ProviderError


def test_the_kinds_of_clusters_are_these():
    assert set(PROVIDERS) == {"local", "batch", "gateway"}


@pytest.mark.parametrize("name", ["local", "slurm", "lpc"])
def test_a_preview_starts_nothing(name, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    site = load_site(name)
    provider = find_provider(site.provider)
    assert provider.describe(site)
    text = provider.preview(site)
    assert ("worker_start" in text) == (name != "local")
    assert ("sbatch --parsable" in text) == (name == "slurm")


def test_a_kind_that_is_not_there_is_an_error_that_lists_them():
    with pytest.raises(ProviderError, match="local, batch, gateway"):
        find_provider("cloud")


def test_a_package_may_add_a_kind(monkeypatch):
    class Point:
        name = "cloud"

        def load(self):
            return providers.LocalProvider

    monkeypatch.setattr(providers, "entry_points", lambda **_: [Point()])
    assert find_provider("cloud") == providers.LocalProvider()


def test_workers_of_this_machine():
    with cluster("local", n_workers=1, memory="400 MiB") as workers, workers.get_client() as client:
        assert client.submit(operator.neg, 3).result(timeout=90) == -3
        assert workers.scheduler_address.startswith("tls://127.0.0.1")
