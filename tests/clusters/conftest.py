"""What tests of clusters get."""

from __future__ import annotations

import pytest
from tests.clusters.played_gateway import playing

from beampipe.batch.registry import DIALECTS
from beampipe.clusters import site_files
from beampipe.testing.fake_batch.commands import install_fakes
from beampipe.testing.fake_batch.queue import FakeQueue


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """The folders of profiles by layer, empty but for the shipped one, with hostile names."""
    here = tmp_path / "Z → µµ 'x' \"q\""
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setattr(site_files, "SYSTEM_FOLDER", tmp_path / "etc" / "sites")
    monkeypatch.setenv("BEAMPIPE_SITES", str(tmp_path / "institute ü"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    found = {
        "etc": tmp_path / "etc" / "sites",
        "institute": tmp_path / "institute ü",
        "user": site_files.user_folder(),
        "project": here / "beampipe-sites",
    }
    for path in found.values():
        path.mkdir(parents=True)
    return found


@pytest.fixture
def fake_slurm(tmp_path, monkeypatch):
    """Slurm's commands on PATH, with processes of this machine behind them."""
    folder = tmp_path / "fake"
    for name, text in install_fakes(folder, "slurm", DIALECTS["slurm"].commands).items():
        monkeypatch.setenv(name, text)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state µ"))
    return FakeQueue(folder / "queue")


@pytest.fixture
def gateway(folders, tmp_path, monkeypatch):
    """A played gateway, with a profile 'gate' for it."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state µ"))
    with playing() as played:
        (folders["user"] / "gate.toml").write_text(
            f'provider = "gateway"\ngateway_address = "{played.address}"\ncores = 2\n'
            'gateway_auth = "simple"\n'
        )
        yield played
