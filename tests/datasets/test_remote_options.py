from __future__ import annotations

import pytest

from beampipe.datasets.remote_options import storage_options


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_web_server_may_be_slow_but_not_silent(scheme):
    limits = storage_options(f"{scheme}://door.org/a.root")["client_kwargs"]["timeout"]
    assert (limits.total, limits.sock_connect, limits.sock_read) == (None, 30, 60)


def test_an_xrootd_server_has_minutes_unless_the_user_said_otherwise(monkeypatch):
    monkeypatch.delenv("XRD_REQUESTTIMEOUT", raising=False)
    assert storage_options("root://door.org//a.root") == {"timeout": 300}
    monkeypatch.setenv("XRD_REQUESTTIMEOUT", "7")
    assert storage_options("root://door.org//a.root") == {}


@pytest.mark.parametrize("url", ["simplecache::https://door.org/a.root", "s3://bucket/a.root"])
def test_others_are_left_alone(url):
    assert storage_options(url) == {}
