from threading import Thread

import pytest

from beampipe.execution.index_calls import IndexCalls
from beampipe.execution.worker_shelf import take_new_indexes


class Future:
    def __init__(self, answer):
        self.answer, self.callbacks, self.released = answer, [], False

    def add_done_callback(self, callback):
        self.callbacks.append(callback)

    def result(self):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def end(self):
        thread = Thread(target=lambda: [callback(self) for callback in self.callbacks])
        thread.start()
        thread.join()

    def release(self):
        self.released = True


class Client:
    def __init__(self):
        self.answer, self.asked = {}, []

    def submit(self, function, **how):
        assert function is take_new_indexes
        self.asked.append((how["workers"], Future(self.answer)))
        return self.asked[-1][1]


class Desk:
    def __init__(self):
        self.kept = []

    def keep(self, made):
        self.kept.append(made)


@pytest.fixture
def client():
    return Client()


@pytest.fixture
def desk():
    return Desk()


@pytest.fixture
def calls(client, desk):
    return IndexCalls(client, desk, "run")


def test_a_worker_is_asked_once_at_a_time(client, calls, desk):
    client.answer = {"place": "index"}
    calls.ask("w1")
    calls.ask("w1")
    calls.ask("w2")
    assert [workers for workers, _ in client.asked] == [["w1"], ["w2"]]
    calls.keep()
    assert desk.kept == []
    client.asked[0][1].end()
    calls.keep()
    assert desk.kept == [{"place": "index"}]
    calls.ask("w1")
    assert len(client.asked) == 3


def test_a_worker_that_is_gone_costs_its_indexes_and_no_more(client, calls, desk):
    client.answer = RuntimeError("lost")
    calls.ask("w1")
    client.asked[0][1].end()
    calls.keep()
    assert desk.kept == [{}]


def test_at_the_end_it_waits_a_moment_and_lets_go(client, calls, desk, monkeypatch):
    monkeypatch.setattr("beampipe.execution.index_calls._LAST_S", 0.0)
    for worker in ("w1", "w2"):
        client.answer = worker
        calls.ask(worker)
    client.asked[0][1].end()
    calls.close()
    assert desk.kept == ["w1"]
    assert client.asked[1][1].released


def test_without_a_desk_nobody_is_asked(client):
    calls = IndexCalls(client, None, "run")
    calls.ask("w1")
    calls.keep()
    assert client.asked == []
