from __future__ import annotations

from pathlib import Path

import pytest

from beampipe.clusters.site_files import (
    check_profile,
    list_sites,
    load_site,
    site_folders,
    site_values,
)
from beampipe.errors import SiteInvalidError, SiteUnknownError

SHIPPED = {
    *("local", "ip2i", "lpc", "lxplus", "coffea-casa", "purdue-slurm", "purdue-k8s", "eaf"),
    *("slurm", "htcondor", "sge", "pbs", "torque", "lsf", "oar", "moab"),
}


def test_the_shipped_sites_are_these(folders):
    assert set(list_sites()) == SHIPPED


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_each_shipped_site_says_what_it_is_and_whether_it_was_tried(folders, name):
    site = load_site(name)
    assert site.description
    assert site.documentation
    assert site.tried in {"real", "from documentation, not tried"}


def test_each_layer_beats_the_ones_below(folders, monkeypatch):
    (folders["etc"] / "farm.toml").write_text(
        'batch_system = "slurm"\nqueue = "etc"\naccount = "etc"\ncores = 1\nmemory = "1 GiB"\n'
        'walltime = "1 h"\ninterface = "ib0"\n'
    )
    (folders["institute"] / "farm.toml").write_text(
        'queue = "i"\naccount = "i"\ncores = 2\nmemory = "2 GiB"\nwalltime = "2 h"\n'
    )
    (folders["user"] / "farm.toml").write_text(
        'queue = "u"\naccount = "u"\ncores = 3\nmemory = "3 GiB"\n'
    )
    (folders["project"] / "farm.toml").write_text('\nqueue = "p"\naccount = "p"\ncores = 4\n')
    monkeypatch.setenv("BEAMPIPE_SITE_ACCOUNT", "env")
    monkeypatch.setenv("BEAMPIPE_SITE_QUEUE", "env")
    site = load_site("farm", queue="argument", account=None)

    assert (site.queue, site.origin("queue")) == ("argument", "argument")
    assert (site.account, site.origin("account")) == ("env", "BEAMPIPE_SITE_ACCOUNT")
    assert (site.cores, site.origin("cores")) == (4, "beampipe-sites/farm.toml:4")
    assert site.memory == 3 * 2**30
    assert site.origin("memory") == f"{folders['user'] / 'farm.toml'}:4"
    assert (site.walltime, site.origin("walltime").rpartition(":")[2]) == (7200.0, "5")
    assert site.interface == "ib0"
    assert site.origin("tls") == "default"
    assert list_sites()["farm"] == ("institute", "institute", "user", "project")


def test_the_first_folder_of_several_wins(folders, tmp_path, monkeypatch):
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        (folder / "farm.toml").write_text(f'like = "slurm"\nqueue = "{folder.name}"')
    monkeypatch.setenv("BEAMPIPE_SITES", f"{first}:{second}")
    assert load_site("farm").queue == "first"
    assert [folder.layer for folder in site_folders()].count("institute") == 3


def test_a_site_takes_from_the_one_it_is_like_all_but_its_own_story(folders):
    (folders["user"] / "mine.toml").write_text('like = "lpc"\nmemory = "4 GiB"')
    site = load_site("mine")
    assert site.batch_system == "htcondor"
    assert site.memory == 4 * 2**30
    assert site.scheduler_ports == (10000, 10100)
    assert (site.tried, site.description, site.hosts) == ("", "", ())


def test_sites_that_are_like_each_other_are_an_error(folders):
    (folders["user"] / "a.toml").write_text('like = "b"')
    (folders["user"] / "b.toml").write_text('like = "a"')
    with pytest.raises(SiteInvalidError, match="a -> b -> a"):
        load_site("a")


def test_an_unknown_site_is_told_with_the_closest(folders):
    with pytest.raises(SiteUnknownError, match="did you mean 'slurm'"):
        load_site("slrum")
    (folders["user"] / "mine.toml").write_text('like = "slrum"')
    with pytest.raises(SiteUnknownError, match="site 'mine' is like it"):
        load_site("mine")


@pytest.mark.parametrize("name", ["", "../slurm", ".hidden", "a/b"])
def test_a_name_that_leads_elsewhere_is_no_site(folders, name):
    (folders["user"].parent / "slurm.toml").write_text('batch_system = "slurm"')
    with pytest.raises(SiteUnknownError):
        load_site(name)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('\nqueu = "x"', r"did you mean `queue`"),
        ('\nmemory = "8"', r"mine\.toml:2: .*write the unit"),
        ("\nwalltime = 60", r"mine\.toml:2: .*write it like '2 h'"),
        ('like = "slurm"\ncores = 1\nprocesses = 4', r"`processes` from .*mine\.toml:3"),
        ("cores =", r"is not valid TOML"),
    ],
)
def test_what_is_wrong_is_told_with_file_and_line(folders, text, words):
    (folders["user"] / "mine.toml").write_text(text)
    with pytest.raises(SiteInvalidError, match=words):
        load_site("mine")


def test_a_file_is_checked_with_what_it_is_like(folders):
    path = folders["user"].parent / "elsewhere.toml"
    path.write_text('like = "slurm"\nqueue = "long"')
    assert check_profile(path).batch_system == "slurm"
    with pytest.raises(SiteInvalidError, match="no such file"):
        check_profile(Path("none.toml"))


def test_all_values_are_listed(folders):
    assert site_values(load_site("ip2i"))["account"] == "cms"
