from __future__ import annotations

import operator

import pytest

from beampipe.clusters.launching import launch
from beampipe.clusters.named import Wish
from beampipe.clusters.reaping import take_down
from beampipe.clusters.site_files import load_site
from beampipe.environments.inputs import LARGEST_BYTES
from beampipe.errors import SiteFoldersError, WorkersLostError
from beampipe.runs import at_site
from beampipe.runs.at_site import check_files_at, client_at, client_of


@pytest.mark.parametrize("n_workers", [None, 1])
def test_a_client_has_workers_for_its_block(n_workers):
    with client_at("local", n_workers) as client:
        assert client.submit(operator.neg, 3).result(timeout=90) == -3
    assert client.status == "closed"


def test_files_that_workers_do_not_see_are_refused_before_a_job_is_submitted(tmp_path, monkeypatch):
    hidden, shared = tmp_path / "hidden µ", tmp_path / "hidden µ" / "shared"
    shared.mkdir(parents=True)
    for path in (hidden / "a.root", shared / "b.root"):
        path.touch()
    big = hidden / "big.json"
    with big.open("wb") as file:
        file.truncate(LARGEST_BYTES + 1)
    monkeypatch.setenv("BEAMPIPE_SITE_CLIENT_FOLDERS", str(hidden))
    monkeypatch.setenv("BEAMPIPE_SITE_SHARED_FOLDERS", str(shared))
    check_files_at("slurm", [str(shared / "b.root"), "root://host//a.root"])
    check_files_at("slurm", str(shared / "b.root"), [hidden / "a.root"])  # it goes along
    with pytest.raises(SiteFoldersError, match="do not see 1 of 2 files") as error:
        check_files_at("slurm", [str(hidden / "a.root"), str(shared / "b.root")])
    assert "a.root" in error.value.why
    assert "b.root" not in error.value.why
    assert str(shared) in error.value.fix
    with pytest.raises(SiteFoldersError, match="inputs"):
        check_files_at("slurm", str(shared / "b.root"), [big])
    monkeypatch.delenv("BEAMPIPE_SITE_CLIENT_FOLDERS")
    check_files_at("slurm", str(hidden / "a.root"), [big])


def test_why_no_worker_came_is_what_is_told(monkeypatch):
    opened = []
    real = at_site.cluster

    def remember(site):
        opened.append(real(site))
        return opened[-1]

    monkeypatch.setattr(at_site, "cluster", remember)

    def lose_all():
        with client_at("local", 0):
            opened[0].failure = LookupError("the reason")
            raise WorkersLostError("lost")

    with pytest.raises(LookupError, match="the reason"):
        lose_all()


def test_a_client_of_a_named_cluster_leaves_it_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    record = launch("stays", load_site("local", memory="400 MiB"), Wish())
    try:
        for n_workers in (1, None):
            with client_of("stays", n_workers) as client:
                assert client.submit(operator.neg, 3).result(timeout=90) == -3
    finally:
        take_down(record)
