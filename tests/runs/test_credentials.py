from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import pytest
from distributed import Client, LocalCluster
from tests.environments import grid
from tests.faults.http_server import FaultyServer

import beampipe as bp
from beampipe.datasets.samples import make_data
from beampipe.execution.progress import Progress
from beampipe.runs import credentials
from beampipe.runs.credentials import told_of_end, travelling, warn_of_credentials

ASKING = ["root://host//a.root"]
NOW = Progress("running", 0, 10, 0, 0, 1, 0, 1.0, 1.0, None, 1)


@pytest.fixture
def proxy(tmp_path, monkeypatch):
    """A function that makes the user's proxy, which ends in so many hours."""
    path = tmp_path / "proxy µ"
    monkeypatch.setenv("X509_USER_PROXY", str(path))
    monkeypatch.setattr("beampipe.environments.credential_checks.find_token", lambda _: None)
    monkeypatch.setattr("beampipe.environments.credential_shipping.find_token", lambda _: None)

    def make(end_h):
        grid.write(path, grid.proxy(grid.user(), "1", oid=grid.RFC, end_h=end_h).pem())
        return path

    return make


def look(events):
    place = Path(os.environ.get("X509_USER_PROXY", "none"))
    digest = hashlib.sha256(place.read_bytes()).hexdigest()
    return {"n": len(events), "places": {str(place)}, "digests": {digest}}


def test_only_what_files_ask_for_and_is_bad_is_told(proxy):
    proxy(0.5)
    (text,) = warn_of_credentials(ASKING)
    assert "ends in 29 min, which is too early" in text
    assert text.endswith("`beampipe proxy create`.")
    assert warn_of_credentials([]) == []
    assert warn_of_credentials(ASKING, needed_s=600) == []


def test_without_any_there_is_nothing_to_tell(tmp_path, monkeypatch):
    """Public data behind XRootD needs none."""
    monkeypatch.setattr("beampipe.environments.credential_checks.find_token", lambda _: None)
    monkeypatch.setattr(
        "beampipe.environments.credential_checks.find_proxy", lambda _: tmp_path / "none"
    )
    monkeypatch.delenv("X509_USER_PROXY", raising=False)
    assert warn_of_credentials(ASKING) == []


def test_who_will_be_without_one_before_the_end_is_told_once(proxy, monkeypatch, capsys):
    proxy(2)
    monkeypatch.setattr(credentials, "_LOOK_EVERY_S", 0.0)
    seen = []
    with told_of_end(seen.append, ASKING) as notify:
        for eta_s in (None, 3600.0, 3 * 3600.0, 3 * 3600.0):
            notify(replace(NOW, eta_s=eta_s))
    assert len(seen) == 4
    text = capsys.readouterr().err
    assert text.count("the run will take 180 min more; The proxy") == 1
    with told_of_end(seen.append, ASKING, enabled=False) as notify:
        assert notify == seen.append


def test_workers_of_this_machine_and_local_files_need_nothing(proxy):
    for client, urls in ((None, ASKING), ("inline", ASKING), (object(), [])):
        with travelling(client, urls, say=pytest.fail):
            pass


def test_a_run_on_files_that_may_ask_takes_it_along_and_warns(proxy, tmp_path, monkeypatch):
    """The worker is a thread here, that is told of another place for its proxy."""
    mine = proxy(0.5)
    make_data(tmp_path / "data", files=1, events=100, seed=3)
    (file,) = (tmp_path / "data").glob("*.root")
    monkeypatch.setattr("beampipe.environments.credential_shipping._is_seen", lambda *_: False)
    monkeypatch.setattr("beampipe.environments.credential_shipping._holds", lambda *_: False)
    with (
        FaultyServer(tmp_path / "data") as server,
        LocalCluster(n_workers=1, processes=False, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        how = {"client": client, "progress": False, "fresh": True}
        result = bp.run(look, f"{server.url}/{file.name}", run_dir=tmp_path / "run", **how)
        (place,) = result.output["places"]
        assert Path(place).name == "beampipe-proxy"
        assert result.output["digests"] == {hashlib.sha256(mine.read_bytes()).hexdigest()}
        assert not Path(place).exists()
        assert any("too early" in note for note in result.notes)
        files = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
        secret = mine.read_bytes().split(b"PRIVATE KEY-----")[1].splitlines()[3]
        assert files
        assert not [path for path in files if secret in path.read_bytes()]
        local = bp.run(look, file, run_dir=tmp_path / "local", **how)
        assert local.output["places"] == {str(mine)}
        assert not any("too early" in note for note in local.notes)
