"""What is written down of a run besides its ledger."""

import json

import pytest

from beampipe.errors import NotARunError, RunFormatError, RunStorageError
from beampipe.execution.history import (
    ACCEPTED,
    REUSED,
    add_to_history,
    history_file,
    list_texts,
    read_history,
)


def test_entries_add_up(tmp_path):
    assert read_history(tmp_path) == ()
    add_to_history(tmp_path, [])
    assert not history_file(tmp_path).exists()
    add_to_history(tmp_path, [{"what": REUSED, "text": "a"}])
    add_to_history(tmp_path, [{"what": ACCEPTED, "text": "b"}, {"what": ACCEPTED, "text": "b"}])
    history = read_history(tmp_path)
    assert [entry["what"] for entry in history] == [REUSED, ACCEPTED, ACCEPTED]
    assert all(entry["time"] for entry in history)
    assert list_texts(history, ACCEPTED) == ("b",)
    assert list_texts(history, REUSED, ACCEPTED) == ("a", "b")


HEAD = b'{"format": "beampipe-history", "version": 1'


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (b"", NotARunError),
        (b"[]", NotARunError),
        (b"\xff", NotARunError),
        (b'{"entries": []}', NotARunError),
        (HEAD + b"}", NotARunError),
        (HEAD + b', "entries": 1}', NotARunError),
        (HEAD + b', "entries": [1]}', NotARunError),
        (HEAD + b', "entries": [], "seal": "0"}', NotARunError),
        (b'{"format": "x", "entries": []}', RunFormatError),
        (HEAD.replace(b"1", b"2") + b', "entries": []}', RunFormatError),
    ],
)
def test_what_makes_no_sense_is_refused_and_not_written_over(tmp_path, text, error):
    history_file(tmp_path).write_bytes(text)
    with pytest.raises(error, match=r"history") as caught:
        read_history(tmp_path)
    assert caught.value.why
    assert caught.value.fix
    with pytest.raises(error):
        add_to_history(tmp_path, [{"what": REUSED, "text": "a"}])
    assert history_file(tmp_path).read_bytes() == text


def test_a_change_by_hand_is_noticed_and_one_without_a_seal_believed(tmp_path):
    add_to_history(tmp_path, [{"what": ACCEPTED, "text": "Z → µµ"}])
    path = history_file(tmp_path)
    text = path.read_bytes()
    path.write_bytes(text.replace(ACCEPTED.encode(), b"remark"))
    with pytest.raises(NotARunError, match="cannot be read") as caught:
        read_history(tmp_path)
    assert "seal" in caught.value.why
    data = json.loads(text)
    del data["seal"]
    path.write_text(json.dumps(data), encoding="utf-8")
    assert list_texts(read_history(tmp_path), ACCEPTED) == ("Z → µµ",)


def test_one_that_is_there_and_cannot_be_read_is_no_empty_one(tmp_path):
    history_file(tmp_path).mkdir()
    with pytest.raises(RunStorageError, match="Cannot read"):
        read_history(tmp_path)
