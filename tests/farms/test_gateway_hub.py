"""A gateway behind a whole JupyterHub: users' servers, tokens, and dashboards through its proxy."""

from __future__ import annotations

import http.client
from urllib.parse import urlsplit

import pytest
from tests.farms.daemons import wait_until
from tests.farms.gateway import end_all, ids
from tests.farms.hub import SERVICE, running_hub

import beampipe as bp
from beampipe.errors import ClusterUnknownError, GatewayAccessError

# What a user does in a notebook on the first day, where the facility has told where its gateway is.
CELL = """
import json, operator, os
from pathlib import Path
folder = Path(os.environ["HOME"], "config", "beampipe", "sites")
folder.mkdir(parents=True)
(folder / "gate.toml").write_text('provider = "gateway"')
os.environ["XDG_CONFIG_HOME"] = str(folder.parents[1])
import beampipe as bp
cluster = bp.cluster("gate", n_workers=1)
with cluster.get_client() as client:
    total = client.submit(operator.neg, 3).result()
print(json.dumps({"total": total, "name": cluster.name, "dashboard": cluster.dashboard_link}))
"""
SHOW_IT = """
import json, os
print(json.dumps({"token": os.environ["JUPYTERHUB_API_TOKEN"]}))
"""


@pytest.fixture(scope="module")
def hub():
    with running_hub() as hub:
        yield hub


@pytest.fixture
def site(hub, tmp_path, monkeypatch):
    """A site there, as outside of the Hub; `JUPYTERHUB_API_TOKEN` says who asks."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    hub.gateway.write_profile(
        tmp_path / "config" / "beampipe" / "sites",
        gateway_address=f'"{hub.address}{SERVICE}"',
        gateway_auth='"jupyterhub"',
    )

    def sign_in(token):
        monkeypatch.setenv("JUPYTERHUB_API_TOKEN", token)

    return sign_in


def test_a_first_day_in_a_users_notebook(hub, site):
    hub.start_server("alice")
    made = hub.run_cell("alice", CELL)
    assert made["total"] == -3
    # The dashboard's address is the Hub's, whose proxy leads to it.
    link = urlsplit(made["dashboard"])
    assert made["dashboard"] == f"{hub.address}{SERVICE}/clusters/{made['name']}/status"
    status, page = hub.ask("GET", link.path, token="nobody")  # noqa: S106
    assert (status, "Dask" in page) == (http.client.OK, True)
    assert (
        hub.ask("GET", link.path.replace("status", "info/main/workers.html"))[0] == http.client.OK
    )
    # The same user from elsewhere, and another one.
    site(hub.make_token("alice"))
    assert ids() == [made["name"]]
    with bp.connect(f"gate/{made['name']}") as cluster:
        assert cluster.dashboard_link == made["dashboard"]
    site(hub.make_token("bob"))
    assert ids() == []
    with pytest.raises(ClusterUnknownError, match="you have none there"):
        bp.connect(f"gate/{made['name']}")
    site(hub.make_token("alice"))
    end_all()


def test_tokens_that_are_wrong_or_over_are_named_as_such(hub, site):
    good, short = hub.make_token("bob"), hub.make_token("bob", lives_s=1)
    site(good)
    assert ids() == []
    wait_until(lambda: hub.ask("GET", "/hub/api/user", token=short)[0] != http.client.OK, "its end")
    for bad in (short, "wrong secret"):
        site(bad)
        with pytest.raises(GatewayAccessError, match="is wrong or has expired") as caught:
            bp.cluster("gate")
        assert "JUPYTERHUB_API_TOKEN" in caught.value.fix
        assert bad not in str(caught.value)


def test_the_token_of_a_server_that_was_stopped_is_over(hub, site):
    hub.start_server("bob")
    token = hub.run_cell("bob", SHOW_IT)["token"]
    site(token)
    assert ids() == []
    hub.stop_server("bob")
    with pytest.raises(GatewayAccessError, match="has been stopped"):
        ids()
