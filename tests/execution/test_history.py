"""What is written down of a run besides its ledger."""

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


def test_what_makes_no_sense_is_passed_over(tmp_path):
    for text in (b"", b"[]", b'{"format": "x", "entries": []}', b"\xff", b'{"entries": 1}'):
        history_file(tmp_path).write_bytes(text)
        assert read_history(tmp_path) == ()
