from __future__ import annotations

import pytest

from beampipe.clusters import detection
from beampipe.clusters.opening import resolve_site
from beampipe.errors import SiteInvalidError, SiteUnknownError


def test_arguments_are_keys_of_the_profile():
    site = resolve_site("slurm", memory="4 GiB", queue="long")
    assert (site.memory, site.queue) == (4 * 2**30, "long")
    assert site.origin("memory") == "argument"
    with pytest.raises(SiteInvalidError, match="did you mean `memory`"):
        resolve_site("slurm", memry="4 GiB")


def test_a_site_that_is_found_by_the_hosts_name_is_said(monkeypatch, caplog):
    monkeypatch.setattr(detection.socket, "getfqdn", lambda: "cmslpc3.fnal.gov")
    assert resolve_site(None).name == "lpc"
    assert "site 'lpc': the name of this host, cmslpc3.fnal.gov" in caplog.text
    monkeypatch.setattr(detection.socket, "getfqdn", lambda: "laptop")
    with pytest.raises(SiteUnknownError):
        resolve_site(None)
