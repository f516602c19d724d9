from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beampipe.datasets.urls import (
    clean_tree,
    hide_secrets,
    host_of,
    is_remote,
    local_path,
    scheme_of,
    show_url,
    split_tree,
)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("/data/a.root", False),
        ("file:///data/a.root", False),
        ("C_mass:1.root", False),
        ("root://eos.cern.ch//eos/a.root", True),
        ("https://host/a.root", True),
        ("s3://bucket/a.root", True),
        ("simplecache::https://host/a.root", True),
    ],
)
def test_what_is_remote(url, expected):
    assert is_remote(url) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.root", ("a.root", None)),
        ("a.root:Events", ("a.root", "Events")),
        ("a.ROOT:dir//Events/", ("a.ROOT", "dir/Events")),
        ("a.root.1:Events", ("a.root.1", "Events")),
        ("a.root:", ("a.root", None)),
        ("dy/*.root:Events", ("dy/*.root", "Events")),
        ("root://host:1094//a.root", ("root://host:1094//a.root", None)),
        ("root://host:1094//a.root:Events", ("root://host:1094//a.root", "Events")),
        ("https://u:p@host:80/a.root?x=1", ("https://u:p@host:80/a.root?x=1", None)),
        ("zip://a.root::https://host/b.zip", ("zip://a.root::https://host/b.zip", None)),
        ("a:b", ("a:b", None)),
    ],
)
def test_a_tree_is_split_off_as_uproot_does(tmp_path, text, expected):
    assert split_tree(text, str(tmp_path)) == expected


def test_a_file_whose_own_name_holds_a_colon_is_not_split(tmp_path):
    (tmp_path / "a.root:Events").touch()
    assert split_tree("a.root:Events", str(tmp_path)) == ("a.root:Events", None)
    assert split_tree("a.root:Events:Runs", str(tmp_path)) == ("a.root", "Events:Runs")


def test_local_paths_become_absolute(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/home/µ user")
    (tmp_path / "a%20b.root").touch()
    base = str(tmp_path)
    assert local_path("x/../a b.root", base) == f"{base}/a b.root"
    assert local_path("/a.root", base) == "/a.root"
    assert local_path("~/a.root", base) == "/home/µ user/a.root"
    assert local_path("~no-such-user/a.root", base) == f"{base}/~no-such-user/a.root"
    assert local_path("file:///a%20c.root", base) == "/a c.root"
    assert local_path(f"file://{base}/a%20b.root", base) == f"{base}/a%20b.root"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("/a/b:c@d?x=1", "/a/b:c@d?x=1"),
        ("https://me:pass@host/a.root", "https://me:***@host/a.root"),
        ("root://me@host//a.root", "root://me@host//a.root"),
        ("https://h/a.root?authz=Bearer%20X&b=2", "https://h/a.root?authz=***&b=***"),
    ],
)
def test_secrets_are_not_shown(url, shown):
    assert show_url(url) == shown
    assert hide_secrets(f"could not open '{url}', sorry") == f"could not open '{shown}', sorry"


@pytest.mark.timeout(10)
def test_a_text_of_megabytes_is_soon_gone_through():
    text = "x" * 1_000_000
    assert hide_secrets(f"{text} root://me:pw@host") == f"{text} root://me:***@host"


@pytest.mark.parametrize(
    ("url", "scheme"),
    [
        ("root://h//a", "root"),
        ("https://h/a", "https"),
        ("simplecache::s3://b/a", "s3"),
        ("S3://b/a", "s3"),
    ],
)
def test_schemes(url, scheme):
    assert scheme_of(url) == scheme


@pytest.mark.parametrize("name", ["/dir/tree", "dir//tree", " dir/tree/ "])
def test_a_tree_has_one_name(name):
    assert clean_tree(name) == "dir/tree"


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("root://eoscms.cern.ch//store/a.root", "eoscms.cern.ch"),
        ("root://me:s3cret@Door.org:1094//a.root", "door.org:1094"),
        ("https://[::1]:8443/a.root?token=x@y", "[::1]:8443"),
        ("simplecache::https://door.org/a.root", "door.org"),
        ("zip://a.root::https://door.org/b.zip", "door.org"),
        ("s3://bucket/a.root", "bucket"),
        ("/eos/Z → µµ 'x' \"q\".root", "node7"),
        ("file:///eos/a.root", "node7"),
    ],
)
def test_the_host_of_a_file(url, host):
    assert host_of(url, worker_host="node7") == host


@given(st.text())
def test_any_text_has_a_host(text):
    assert isinstance(host_of(f"https://{text}", worker_host="w"), str)
