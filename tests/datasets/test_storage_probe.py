"""What storage does to a small read; real XRootD with a proxy: tests/farms/test_doctor_ports.py."""

from __future__ import annotations

import io
import json
import sys

import pytest
from tests.faults.http_server import FaultyServer

from beampipe.datasets import storage_probe
from beampipe.datasets.storage_probe import main, probe_storage, read_sample


@pytest.fixture
def storage(tmp_path):
    """A server with a file that begins as ROOT's do; `fault` says what it does instead."""
    (tmp_path / "a.root").write_bytes(
        b"root" + (60000).to_bytes(4) + b"\x00\x00\x00\x64" + (2_000_000).to_bytes(4) + b"x" * 2**21
    )
    (tmp_path / "page.root").write_bytes(b"<html>please log in</html>")
    with FaultyServer(tmp_path) as server:
        yield server


def test_a_little_is_read_and_timed(storage):
    sample = read_sample(f"{storage.url}/a.root")
    assert (sample.message, sample.read_bytes) == ("", 2**20)
    assert sample.latency_s > 0 < sample.read_s


@pytest.mark.parametrize(
    ("fault", "name", "words"),
    [
        (403, "a.root", "may not be read"),
        (404, "a.root", "does not exist"),
        ("hangup", "a.root", "cannot be re"),
        (None, "page.root", "is not a ROOT file"),
        (None, "none.root", "does not exist"),
    ],
    ids=str,
)
def test_what_is_wrong_is_told(storage, fault, name, words):
    storage.fault = lambda *_: fault
    sample = read_sample(f"{storage.url}/{name}?sig=SECRET")
    assert words in sample.message, sample
    assert sample.fix
    assert "SECRET" not in f"{sample.message}{sample.why}{sample.fix}"


def test_software_that_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    sample = read_sample("s3://bucket/a.root")
    assert "s3" in sample.message
    assert sample.fix == "pip install s3fs"


def test_in_a_process_of_its_own_what_hangs_is_given_up_and_the_rest_is_told(storage):
    """A host that never answers beside one that does."""
    storage.fault = lambda _, path, __: "stall" if "page" in path else None
    urls = [f"{storage.url}/a.root", f"{storage.url}/page.root", f"{storage.url}/none.root"]
    good, hung, missing = probe_storage(urls, patience_s=15)
    assert good.read_bytes == 2**20
    assert hung.why == "no answer within 15 s"
    assert "whether the storage is up" in hung.fix
    assert "does not exist" in missing.message


def test_as_a_program_it_reads_urls_and_writes_samples(storage, monkeypatch, capsys):
    ended = []
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps([f"{storage.url}/a.root"])))
    monkeypatch.setattr(storage_probe.os, "_exit", ended.append)
    main()
    assert json.loads(capsys.readouterr().out)["read_bytes"] == 2**20
    assert ended == [0]
