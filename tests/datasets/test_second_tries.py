from __future__ import annotations

import pytest

from beampipe.datasets.second_tries import SecondTries
from beampipe.errors import FileMissingError, NotRootError

URL = "https://door.org/a.root"


class Storage:
    """Fails a few times, then answers."""

    def __init__(self, *failures, answer="fine"):
        self.failures, self.answer, self.asked = list(failures), answer, 0

    def __call__(self):
        self.asked += 1
        if self.failures:
            raise self.failures.pop(0)
        return self.answer


def passing():
    error = FileMissingError("cannot be reached", url=URL)
    error.__cause__ = ConnectionRefusedError()
    return error


@pytest.fixture
def slept():
    return []


@pytest.fixture
def tries(slept):
    return SecondTries(sleep=slept.append)


def test_nobody_waits_where_nothing_fails(tries, slept):
    assert tries.ask(URL, Storage()) == "fine"
    assert not slept


def test_storage_that_failed_in_passing_is_asked_again_after_longer_and_longer(tries, slept):
    storage = Storage(passing(), passing())
    assert tries.ask(URL, storage) == "fine"
    assert storage.asked == 3
    assert 0.1 <= slept[0] <= 0.3
    assert 0.4 <= slept[1] <= 1.2


def test_after_three_tries_the_last_error_is_raised(tries):
    failures = [passing() for _ in range(4)]
    storage = Storage(*failures)
    with pytest.raises(FileMissingError) as caught:
        tries.ask(URL, storage)
    assert caught.value is failures[2]
    assert storage.asked == 3


def test_what_will_stay_is_not_asked_again(tries, slept):
    storage = Storage(NotRootError("a page"))
    with pytest.raises(NotRootError):
        tries.ask(URL, storage)
    assert (storage.asked, slept) == (1, [])


def test_a_server_that_is_not_there_does_not_cost_a_pause_for_each_of_its_files(tries, slept):
    for _ in range(1000):
        with pytest.raises(FileMissingError):
            tries.ask(URL, Storage(*[passing() for _ in range(9)]))
    assert len(slept) == 6
    assert tries.ask("https://other.org/b.root", Storage(passing())) == "fine"  # as others do not
    assert len(slept) == 7
    assert tries.ask(URL, Storage()) == "fine"  # it is back
    assert tries.ask(URL, Storage(passing())) == "fine"
    assert len(slept) == 8
