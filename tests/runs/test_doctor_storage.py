from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from beampipe.datasets.storage_probe import Sample
from beampipe.runs import doctor_storage
from beampipe.runs.doctor_storage import (
    choose_urls,
    examine_storage_here,
    examine_storage_there,
    judge_sample,
)

URLS = ["root://a:1094//x.root", "root://a:1094//y.root", "https://b/x.root?sig=SECRET"]


def test_of_each_server_one_file_is_read():
    assert choose_urls(URLS) == [URLS[0], URLS[2]]
    assert len(choose_urls(f"https://h{k}/x.root" for k in range(9))) == 4


@pytest.mark.parametrize(
    ("facts", "status", "words"),
    [
        ({"latency_s": 0.1, "read_bytes": 2**20, "read_s": 0.1}, "ok", "1.05 MB at 10.5 MB/s"),
        ({"latency_s": 5.0, "read_bytes": 2**20, "read_s": 0.1}, "warning", "after 5.00 s"),
        ({"latency_s": 0.1, "read_bytes": 10**5, "read_s": 1.0}, "warning", "0.1 MB/s"),
        ({"message": "It may not be read.", "why": "401", "fix": "renew"}, "error", "401"),
    ],
    ids=["quick", "late", "slow", "refused"],
)
def test_samples_are_judged(facts, status, words):
    finding = judge_sample("storage", Sample(url=URLS[2], **facts))
    assert finding.status == status
    assert words in finding.fact
    assert finding.fact.startswith("https://b: ")
    assert "SECRET" not in f"{finding.fact}{finding.remedy}"


def test_here_and_on_a_worker_the_same_files_are_read(monkeypatch):
    asked = []

    def probe(urls, *, patience_s):
        asked.append(urls)
        return [Sample(url=url, latency_s=0.1, read_bytes=10**6, read_s=0.1) for url in urls]

    def submit(function, urls, *, patience_s, **_):
        return SimpleNamespace(result=lambda **_: function(urls, patience_s=patience_s))

    monkeypatch.setattr(doctor_storage, "probe_storage", probe)
    monkeypatch.setattr(
        "beampipe.environments.credential_shipping.shipped_credentials",
        lambda _, say: nullcontext(say("the token cannot be sent")),
    )
    assert [f.code for f in examine_storage_here(URLS)] == ["storage"] * 2
    told = []
    client = SimpleNamespace(submit=submit)
    found = list(examine_storage_there(URLS, client, tell=told.append))
    assert [f.code for f in found] == ["storage-worker"] * 2
    assert asked == [[URLS[0], URLS[2]]] * 2
    assert told == ["the token cannot be sent"]
    assert list(examine_storage_here([])) == []
    assert list(examine_storage_there([], client, tell=told.append)) == []
