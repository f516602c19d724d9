"""What is written down of named clusters."""

from __future__ import annotations

import os
import time
from dataclasses import replace

import pytest

from beampipe.clusters.named import Standing, Wish, find_named, list_named, new_named
from beampipe.clusters.site_files import load_site
from beampipe.errors import (
    ClusterAmbiguousError,
    ClusterNameError,
    ClusterStartError,
    ClusterUnknownError,
)
from beampipe.process_identity import who_am_i


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state µ"))


def make(name, *, site="slurm", **changes):
    record = new_named(name, load_site(site), Wish(workers=3), began_at=time.time())
    record = replace(record, **changes)
    record.write()
    return record


def running(name, **changes):
    return make(name, **{"owner": who_am_i(), "state": "running"} | changes)


def test_a_record_is_found_again_with_its_site_and_private():
    site = load_site("slurm", memory="3 GiB", walltime="90 min", variables={"A": "b 'c'"})
    record = new_named("top", site, Wish(minimum=1, maximum=4), began_at=1.0)
    record.write()
    found = find_named("top")
    assert found == record
    assert str(found.wish) == "1 to 4"
    again = found.load_site()
    assert (again.memory, again.walltime, again.variables) == (3 * 2**30, 5400, {"A": "b 'c'"})
    assert again.name == "slurm"
    assert found.folder.stat().st_mode & 0o777 == 0o700
    assert (found.folder / "cluster.json").stat().st_mode & 0o777 == 0o600
    found.remove()
    assert not found.exists()
    assert list_named() == []


def test_how_it_stands():
    assert make("a").standing is Standing.STARTING
    assert make("b", began_at=0.0).standing is Standing.GONE
    assert running("c").standing is Standing.RUNNING
    assert running("d", state="failed").standing is Standing.FAILED
    died = running("e", owner=who_am_i() | {"ticks": 1})
    assert died.standing is Standing.GONE
    away = running("f", owner={"host": "elsewhere", "pid": 1})
    assert away.standing is Standing.RUNNING
    os.utime(away.folder / "cluster.json", (1, 1))
    assert away.standing is Standing.GONE
    away.beat()
    assert away.standing is Standing.RUNNING
    away.remove()
    assert away.standing is Standing.GONE


def test_without_a_name_the_one_that_runs_is_meant():
    with pytest.raises(ClusterUnknownError, match="none was started here"):
        find_named(None)
    make("dead", began_at=0.0)
    assert find_named(None).name == "dead"
    running("one")
    assert find_named(None).name == "one"
    running("two", site="htcondor")
    with pytest.raises(
        ClusterAmbiguousError, match=r"'one' at slurm \(running\), 'two' at htcondor"
    ) as caught:
        find_named(None)
    assert caught.value.candidates == ["one", "two"]
    assert find_named("two").name == "two"
    with pytest.raises(ClusterUnknownError, match="dead, one, two"):
        find_named("three")


@pytest.mark.parametrize("name", ["", "../x", "a b", "-x", "x" * 41, "µ", "a/b", "."])
def test_what_cannot_be_a_name(name):
    with pytest.raises(ClusterNameError, match="cannot name a cluster"):
        new_named(name, load_site("slurm"), Wish(), began_at=0.0)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"name": "x"}', '{"wish": 3}'])
def test_a_damaged_record_hides_no_other(text):
    running("good")
    damaged = make("damaged")
    (damaged.folder / "cluster.json").write_text(text)
    assert [each.name for each in list_named()] == ["good"]


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with pytest.raises(ClusterStartError, match="XDG_STATE_HOME"):
        new_named("x", load_site("slurm"), Wish(), began_at=0.0)
