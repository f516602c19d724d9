from __future__ import annotations

import sys
from pathlib import Path

import pytest

from beampipe.clusters import strategies
from beampipe.clusters.seen_folders import note_seen
from beampipe.clusters.site import Site
from beampipe.clusters.site_files import load_site
from beampipe.clusters.strategies import (
    choose_strategy,
    describe_strategy,
    explain_unseen,
    refuse_packed,
)
from beampipe.errors import EnvironmentPackError, ProviderError, SiteInvalidError

ABOVE = str(Path(sys.prefix).parent)


@pytest.fixture(autouse=True)
def own_state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


def site(**values):
    return load_site("slurm", **values)


@pytest.mark.parametrize(
    ("values", "kind", "place"),
    [
        ({"python": "/opt/python"}, "python", "/opt/python"),
        ({"venv": "/v µ"}, "venv", "/v µ"),
        ({"conda": "base"}, "conda", "base"),
        ({"pixi": "/p"}, "pixi", "/p"),
        ({"apptainer": "/i.sif"}, "image", "/i.sif"),
        ({"apptainer": "/i.sif", "venv": "/v"}, "venv", "/v in /i.sif"),
        ({"environment": "packed"}, "packed", sys.prefix),
        ({"environment": "packed", "apptainer": "/i.sif"}, "packed", sys.prefix),
        ({"environment": "shared"}, "shared", sys.prefix),
        ({}, "shared", sys.prefix),
    ],
    ids=str,
)
def test_what_a_site_says_goes_first(values, kind, place):
    found = choose_strategy(site(**values))
    assert (found.kind, found.place) == (kind, place)
    assert place in str(found)


def test_what_workers_do_not_see_is_packed_for_them():
    found = choose_strategy(site(client_folders=[ABOVE]))
    assert found.kind == "packed"
    assert f"'{sys.prefix}' is in `client_folders`" in found.why
    assert choose_strategy(site(client_folders=[sys.base_prefix])).kind == "packed"


def test_what_both_see_is_used_where_it_is():
    found = choose_strategy(site(shared_folders=["/"]))
    assert (found.kind, "shared_folders" in found.why) == ("shared", True)


def test_what_a_worker_saw_counts_where_nobody_says():
    assert "nobody said" in choose_strategy(site()).why
    note_seen("slurm", sys.prefix, is_seen=False)
    assert choose_strategy(site()).kind == "packed"
    assert "did not see it" in choose_strategy(site()).why
    assert choose_strategy(site(environment="shared")).kind == "shared"
    assert choose_strategy(site(shared_folders=["/"])).kind == "shared"
    note_seen("slurm", sys.prefix, is_seen=True)
    assert (choose_strategy(site()).kind, choose_strategy(load_site("sge")).kind) == (
        "shared", "shared",
    )  # fmt: skip


def test_other_kinds_of_clusters():
    assert choose_strategy(load_site("local")).kind == "shared"
    gateway = load_site("local", provider="gateway", conda="/depot/env")
    assert str(choose_strategy(gateway)).startswith("what the gateway gives: /depot/env")


def test_what_cannot_be_is_said():
    with pytest.raises(SiteInvalidError, match="client_folders") as caught:
        choose_strategy(site(environment="shared", client_folders=[ABOVE]))
    assert "environment = 'packed'" in caught.value.fix
    with pytest.raises(SiteInvalidError, match="which Python"):
        site(environment="packed", venv="/v")
    with pytest.raises(SiteInvalidError, match="workers on this machine"):
        load_site("local", environment="packed")
    with pytest.raises(SiteInvalidError, match="a gateway cannot be told of `environment`"):
        load_site("local", provider="gateway", environment="packed")
    assert load_site("htcondor", key_files="transfer", client_folders=["/home"]).client_folders


def test_only_workers_are_packed_for():
    refuse_packed(site(), "a notebook")
    with pytest.raises(ProviderError, match="a notebook cannot be a job"):
        refuse_packed(site(environment="packed"), "a notebook")


def test_the_version_of_a_pack_is_told(monkeypatch):
    from beampipe.environments import packs

    layer = packs.Layer("base-abc", (), 5, "{}")
    pack = packs.Pack(layer, packs.Layer("own-def", (), 6, "{}"), "tar")
    asked = []
    monkeypatch.setattr(packs, "plan_pack", lambda *told: asked.append(told) or pack)
    text = describe_strategy(site(environment="packed", packed_without=["torch"]))
    assert "version abc+def" in text
    assert "it will be packed" in text
    assert asked == [("tar", ("torch",))]
    assert describe_strategy(site(venv="/v")).startswith("a virtual environment: /v")


@pytest.mark.parametrize(
    "words",
    [
        "/s/job: line 4: /x/bin/python: No such file or directory",
        "/s/job: line 4: exec: /x/bin/python: cannot execute: No such file or directory",
        "/x/bin/python3.11: not found",
        "error while loading: libpython3.11.so.1.0: cannot open shared object file",
        "ModuleNotFoundError: No module named 'encodings'",
        "/x/bin/python: Error while finding module: No module named 'beampipe'",
    ],
)
def test_a_python_that_jobs_do_not_see_is_told_from_their_words(words):
    assert explain_unseen(site(), "Killed") == ""
    assert choose_strategy(site()).kind == "shared"
    assert "gets it packed" in explain_unseen(site(), words)
    assert choose_strategy(site()).kind == "packed"
    assert "environment = 'packed'" in explain_unseen(site(environment="shared"), words)
    assert "`venv = '/v'`" in explain_unseen(site(venv="/v"), words)
    assert explain_unseen(site(conda="c"), words) == ""
    assert explain_unseen(site(apptainer="/i.sif"), words) == ""


def test_a_plan_that_fails_says_so(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(EnvironmentPackError):
        strategies.plan_for(Site(packed_without=("nothing-like-this",)))
