from __future__ import annotations

import pytest
from XRootD.client import EnvGetInt

from beampipe.datasets import xrootd_client
from beampipe.datasets.remote_options import storage_options


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_web_server_may_be_slow_but_not_silent(scheme):
    limits = storage_options(f"{scheme}://door.org/a.root")["client_kwargs"]["timeout"]
    assert (limits.total, limits.sock_connect, limits.sock_read) == (None, 30, 60)


@pytest.mark.parametrize("scheme", ["root", "xroots"])
def test_xrootds_client_is_told_once_for_the_process(scheme, monkeypatch):
    monkeypatch.setitem(xrootd_client.SETTINGS, "RequestTimeout", 123)
    xrootd_client.tune_client.cache_clear()
    assert storage_options(f"{scheme}://door.org//a.root") == {}
    assert EnvGetInt("RequestTimeout") == 123
    monkeypatch.undo()
    xrootd_client.tune_client.cache_clear()
    xrootd_client.tune_client()


@pytest.mark.parametrize("url", ["simplecache::https://door.org/a.root", "s3://bucket/a.root"])
def test_others_are_left_alone(url):
    assert storage_options(url) == {}
