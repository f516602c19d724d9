"""A gateway that is examined; a real one: tests/farms/test_gateway.py."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace

import pytest
from dask_gateway.options import Options

from beampipe.clusters.site_files import load_site
from beampipe.errors import GatewayAccessError
from beampipe.runs import doctor_gateway
from beampipe.runs.doctor_gateway import examine_gateway

OFFER = [
    {
        "field": "worker_cores",
        "label": "Cores",
        "default": 1,
        "spec": {"type": "int", "min": 1, "max": 4},
    }
]


@pytest.fixture
def look(tmp_path, monkeypatch):
    """What is found at a gateway of this version, with these clusters, by a profile."""
    monkeypatch.setattr(doctor_gateway, "version", lambda _: "2026.3.0")

    def examine(*clusters, version="2026.3.0", error=None, **values):
        @contextlib.contextmanager
        def door(site):
            if error is not None:
                raise error
            yield SimpleNamespace(
                get_versions=lambda: {"server": {"version": version}},
                cluster_options=lambda **_: Options._from_spec(OFFER),
                _config_cluster_options=dict,
                list_clusters=lambda: [SimpleNamespace(name=name) for name in clusters],
            )

        monkeypatch.setattr(doctor_gateway, "open_door", door)
        folder = tmp_path / "config" / "beampipe" / "sites"
        folder.mkdir(parents=True, exist_ok=True)
        text = 'provider = "gateway"\ngateway_address = "http://h"\ngateway_auth = "simple"\n'
        (folder / "gate.toml").write_text(text)
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
        return {f.code: f for f in examine_gateway(load_site("gate", **values))}

    return examine


def test_a_gateway_where_all_is_well(look):
    found = look("abc", cores=2)
    assert {code: f.status for code, f in found.items()} == dict.fromkeys(found, "ok")
    assert found["gateway"].fact == "http://h lets us in; yours there: gate/abc"
    assert found["gateway-options"].fact == "it takes what would be sent: worker_cores"
    assert look()["gateway"].fact.endswith("none of your clusters is there")
    assert "its defaults hold" in look()["gateway-options"].fact


def test_options_and_versions_that_do_not_fit(look):
    found = look(cores=9, version="2024.1.0")
    assert found["gateway-options"].status == "error"
    assert "takes 1 to 4" in found["gateway-options"].fact
    assert found["gateway-version"].status == "warning"
    assert "2026.3.0 here, and 2024.1.0 there" in found["gateway-version"].fact


def test_one_that_does_not_let_us_in(look):
    error = GatewayAccessError("It does not let us in.", why="401", fix="get a token")
    (finding,) = look(error=error).values()
    assert (finding.code, finding.status, finding.remedy) == ("gateway", "error", "get a token")
    assert "401" in finding.fact
