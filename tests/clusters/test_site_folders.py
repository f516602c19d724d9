from __future__ import annotations

import sys

import pytest

from beampipe.clusters.opening import cluster
from beampipe.clusters.site_files import load_site
from beampipe.clusters.site_folders import check_job_folders, check_seen, is_shared, is_unseen
from beampipe.errors import SiteFoldersError, SiteInvalidError


def site(**values):
    return load_site("slurm", **values)


def test_the_inner_one_of_two_folders_counts():
    there = site(client_folders=["/data", "/data/shared/not"], shared_folders=["/data/shared"])
    assert is_unseen(there, "/data")
    assert is_unseen(there, "/data/a.root")
    assert not is_unseen(there, "/data/shared/a.root")
    assert is_unseen(there, "/data/shared/not/a.root")
    assert not is_unseen(there, "/database/a.root")
    assert not is_unseen(there, "/elsewhere/a.root")
    assert not is_unseen(site(), "/data/a.root")


def test_home_and_blanks_are_as_people_write_them(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    there = site(client_folders=["~/µ data/"])
    assert is_unseen(there, "~/µ data/a.root")
    assert is_unseen(there, tmp_path / "µ data" / ".." / "µ data" / "a.root")
    assert not is_unseen(there, "~/other")


def test_neither_a_link_nor_what_it_leads_to_may_be_out_of_sight(tmp_path):
    hidden, seen = tmp_path / "hidden", tmp_path / "seen"
    hidden.mkdir()
    seen.mkdir()
    (seen / "link").symlink_to(hidden)
    (hidden / "link").symlink_to(seen)
    there = site(client_folders=[str(hidden)])
    assert is_unseen(there, seen / "link" / "a.root")
    assert is_unseen(there, hidden / "link" / "a.root")
    assert not is_unseen(there, seen / "a.root")


def test_what_is_out_of_sight_is_named_with_what_to_do():
    there = site(client_folders=["/h"], shared_folders=["/eos", "/cvmfs"])
    check_seen(there, ["/eos/a"], "files")
    with pytest.raises(SiteFoldersError, match="do not see 4 files") as error:
        check_seen(there, [f"/h/{number}" for number in range(4)], "files")
    assert "'/h/2' and 1 more" in error.value.why
    assert "argument" in error.value.why  # where the profile says so
    assert error.value.fix.startswith("put them under /eos or /cvmfs, or ")


@pytest.mark.parametrize("key", ["python", "venv", "conda", "pixi", "apptainer"])
def test_an_environment_that_workers_do_not_see_is_refused(key):
    with pytest.raises(SiteInvalidError, match=key):
        site(client_folders=["/h"], **{key: "/h/env"})
    assert getattr(site(client_folders=["/h"], **{key: "/g/env"}), key) == "/g/env"
    assert getattr(site(client_folders=["/h"], **{key: "env"}), key) == "env"


def test_jobs_must_find_their_keys(tmp_path):
    away = {"client_folders": [str(tmp_path)]}
    with pytest.raises(SiteFoldersError, match="keys"):
        check_job_folders(site(**away), tmp_path / "state")
    sent = load_site("htcondor", key_files="transfer", **away)
    check_job_folders(sent, tmp_path / "state")
    # An environment that they do not see is packed for them: test_strategies.py.
    check_job_folders(site(client_folders=[sys.prefix]), tmp_path)


def test_a_cluster_is_not_opened_where_its_jobs_would_fail(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with pytest.raises(SiteFoldersError):
        cluster("slurm", client_folders=[str(tmp_path)])


def test_what_workers_see_is_said_as_well():
    nested = site(shared_folders=["/s", "/s/me/out"], client_folders=["/s/me"])
    assert [is_shared(nested, path) for path in ("/s", "/s/x", "/s/me/x", "/s/me/out/x", "/t")] == [
        True, True, False, True, False,
    ]  # fmt: skip
