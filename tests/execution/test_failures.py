import numpy as np
import pytest

from beampipe.errors import ChunkUnreadableError
from beampipe.execution.failures import describe_failure, explain_error


@pytest.fixture
def make_bundle(chunks_of, make_file_plan):
    """A namespace with the chunks of a file."""

    class Chunks:
        def __init__(self, k):
            self.chunks = [chunks_of(make_file_plan())[k]]

    return Chunks


def test_a_failure_without_data_or_worker(make_bundle):
    failure = describe_failure(
        make_bundle(2).chunks[0], ValueError("x"), worker="tcp://a", attempt=3
    )
    assert (failure.start, failure.stop) == (50, 75)
    assert (failure.worker, failure.attempt) == ("tcp://a", 3)
    assert (failure.kind, failure.rule) == ("processor", "anything-else")
    assert failure.why
    assert failure.fix


def test_an_array_in_a_message_does_not_fill_the_ledger(make_bundle):
    error = ValueError(f"bad {list(range(100_000))}")
    failure = describe_failure(make_bundle(0).chunks[0], error)
    assert len(failure.message) < 3_000
    assert failure.message.startswith("bad [0, 1")
    assert failure.message.endswith("99999]")


def test_secrets_do_not_get_into_the_ledger(make_bundle):
    error = ValueError("https://me:hunter2@host/file?token=abc")
    failure = describe_failure(make_bundle(0).chunks[0], error)
    assert "hunter2" not in f"{failure}"


class Data:
    """What a reader gives."""

    chunk, url = (25, 50), "/other/replica.root"

    def known_columns(self):
        return ("Muon", "Muon.pt")


def test_the_replica_that_was_read_is_named(make_bundle):
    failure = describe_failure(make_bundle(1).chunks[0], ValueError("x"), Data())
    assert (failure.url, failure.start, failure.stop) == ("/other/replica.root", 25, 50)


def test_broken_bytes_are_found_behind_what_a_library_made_of_them():
    behind = ChunkUnreadableError("broken")
    error = AttributeError("no field")
    error.__cause__ = behind
    assert explain_error(error, Data()) is behind
    assert explain_error(error, None) is error
    other = ValueError(np.zeros(3))
    assert explain_error(other, Data()) is other
