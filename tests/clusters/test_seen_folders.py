from __future__ import annotations

import time

import pytest

from beampipe.clusters import seen_folders
from beampipe.clusters.seen_folders import note_seen, recall_seen


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "beampipe" / "sites"


def test_what_was_found_out_is_kept_per_site_and_folder():
    assert recall_seen("farm", "/env µ") is None
    note_seen("farm", "/env µ", is_seen=False)
    note_seen("farm", "/other", is_seen=True)
    found = recall_seen("farm", "/env µ")
    assert (found.is_seen, found.day) == (False, time.strftime("%Y-%m-%d"))
    assert recall_seen("farm", "/other").is_seen
    assert recall_seen("else", "/env µ") is None


def test_it_is_good_for_a_month(monkeypatch):
    note_seen("farm", "/env", is_seen=True)
    monkeypatch.setattr(seen_folders, "_GOOD_FOR_S", -1.0)
    assert recall_seen("farm", "/env") is None


@pytest.mark.parametrize(
    "text",
    ["", "no json", "[1]", '{"/env": {"is_seen": 1}}', '{"/env": {"is_seen": 1, "found_at": "x"}}'],
)
def test_nonsense_is_nothing_known(state, text):
    state.mkdir(parents=True)
    (state / "farm.json").write_text(text)
    assert recall_seen("farm", "/env") is None
    note_seen("farm", "/env", is_seen=True)
    assert recall_seen("farm", "/env").is_seen


def test_what_cannot_be_kept_is_no_error(monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", "/proc/none")
    note_seen("farm", "/env", is_seen=True)
    assert recall_seen("farm", "/env") is None
