"""Several listeners to one topic; nobody who was there before is lost."""

import logging

import pytest

from beampipe.execution.topics import listen, stop_listening


class FakeClient:
    """What a client does with topics."""

    def __init__(self):
        self._event_handlers = {}
        self.status = "running"
        self.log = []

    def subscribe_topic(self, topic, handler):
        self._event_handlers[topic] = handler
        self.log.append(("subscribe", topic))

    def unsubscribe_topic(self, topic):
        self.log.append(("unsubscribe", topic))

    def send(self, topic, message):
        return self._event_handlers[topic]((0.0, message))


@pytest.fixture
def client():
    return FakeClient()


def test_all_listeners_hear_and_the_last_one_turns_off_the_light(client):
    one, two = [], []
    listen(client, "all", one.append)
    listen(client, "all", two.append)
    assert client.log == [("subscribe", "all")]
    client.send("all", "a")
    stop_listening(client, "all", one.append)
    client.send("all", "b")
    stop_listening(client, "all", two.append)
    stop_listening(client, "all", two.append)
    assert (one, two) == (["a"], ["a", "b"])
    assert client.log == [("subscribe", "all"), ("unsubscribe", "all")]
    client.send("all", "under way when the last one left")
    listen(client, "all", one.append)
    client.send("all", "c")
    assert one == ["a", "c"]


def test_a_handler_of_the_user_hears_all_and_is_put_back(client):
    user, mine = [], []
    client.subscribe_topic("all", user.append)
    handler = client._event_handlers["all"]
    listen(client, "all", mine.append)
    client.send("all", "a")
    stop_listening(client, "all", mine.append)
    assert client._event_handlers["all"] == handler
    client.send("all", "b")
    assert [message for _, message in user] == ["a", "b"]
    assert mine == ["a"]


def test_a_listener_that_fails_is_logged_and_hurts_nobody(client, caplog):
    heard = []
    listen(client, "all", lambda message: message["no such thing"])
    listen(client, "all", heard.append)
    with caplog.at_level(logging.ERROR):
        client.send("all", {})
    assert heard == [{}]
    assert "could not be taken in" in caplog.text


def test_a_client_that_is_closed_is_not_asked(client):
    listen(client, "all", print)
    client.status = "closed"
    stop_listening(client, "all", print)
    assert client.log == [("subscribe", "all")]
