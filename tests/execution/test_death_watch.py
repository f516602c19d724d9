"""What a watch makes of the scheduler's events; real deaths are in test_recovery_deaths."""

import asyncio
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest

from beampipe.execution import death_watch
from beampipe.execution.breadcrumbs import Crumbs
from beampipe.execution.death_watch import DeathWatch, describe_death
from beampipe.execution.exit_notices import write_notice
from beampipe.execution.pool import Crumb, DeathReport, WorkerDied

WORKER = "tcp://10.0.0.1:4711"


class FakeClient:
    """A client whose scheduler says what a test wants."""

    def __init__(self, events=()):
        self._event_handlers = {}
        self.status = "running"
        self.events = list(events)
        self.plugins = []
        self.loop = SimpleNamespace(add_callback=lambda function: function())

    def subscribe_topic(self, topic, handler):
        self._event_handlers[topic] = handler

    def unsubscribe_topic(self, topic):
        pass

    def register_plugin(self, plugin):
        self.plugins.append(plugin.name)

    def unregister_worker_plugin(self, name, *, nanny):
        assert nanny
        self.plugins.remove(name)

    async def get_events(self, topic):
        assert topic == WORKER
        if self.events == ["silence"]:
            await asyncio.sleep(60)
        return [(0.0, event) for event in self.events]

    async def nthreads(self):
        raise OSError("the scheduler does not answer")

    def send(self, topic, message):
        self._event_handlers[topic]((0.0, message))


def removed(*keys, expected=False):
    return {
        "action": "remove-worker",
        "worker": WORKER,
        "processing-tasks": {*keys, ("a", 1), "beampipe-2-bundle-1", "beampipe-1-merge-1"},
        "expected": expected,
    }


def watch(story, events=(), put=None):
    told = []

    async def run():
        client = FakeClient(events)
        watch = DeathWatch(client, "beampipe-1", put or told.append)
        await story(client, watch, told)
        watch.close()
        assert not client.plugins

    asyncio.run(run())
    return told


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Nobody answers in these tests; real waiting is in test_recovery_deaths."""
    monkeypatch.setattr(death_watch, "_PATIENCE_S", 0.3)
    monkeypatch.setattr(death_watch, "_NANNY_FIRST_S", 0.05)
    monkeypatch.setattr(death_watch, "_ASK_S", 0.3)


async def until(told, count):
    for _ in range(1000):
        if len(told) >= count:
            return
        await asyncio.sleep(0.02)
    raise AssertionError(told)


def test_only_bundles_of_the_run_count():
    async def story(client, watch, told):
        client.send("all", {"action": "add-worker", "worker": WORKER})
        client.send("all", {"action": "run-function"})
        client.send("all", removed())
        client.send("all", removed("beampipe-1-bundle-7"))
        await until(told, 2)

    died, report = watch(story)
    assert died == WorkerDied(WORKER, ("beampipe-1-bundle-7",))
    assert report == DeathReport(
        WORKER, None, {"text": "its exit code is not available", "is_out_of_memory": False}
    )


@pytest.mark.parametrize(
    ("events", "is_expected"),
    [
        ([], False),
        ([{"action": "add-worker"}, {"action": "closing-worker", "reason": "signal-15"}], True),
        ([{"action": "closing-worker"}, {"action": "add-worker"}], False),
        (["silence"], False),
    ],
    ids=["died", "closed", "another closed before", "no answer"],
)
def test_who_said_that_it_closes_is_not_blamed(events, is_expected):
    async def story(client, watch, told):
        client.send("all", removed("beampipe-1-bundle-7"))
        await until(told, 2)

    died, report = watch(story, events)
    assert died.is_expected == is_expected
    assert ("told to go: signal-15" in report.seen["text"]) == is_expected


def test_what_a_nanny_told_before_the_scheduler_knew_is_not_lost():
    async def story(client, watch, told):
        notice = write_notice(WORKER, {"exit_code": -11, "memory_bytes": 2**29}, None)
        client.send("beampipe-1-exits", notice)
        client.send("all", removed("beampipe-1-bundle-7"))
        await until(told, 2)

    _, report = watch(story)
    assert report.seen == {
        "exit_code": -11,
        "signal": 11,
        "memory_bytes": 2**29,
        "is_out_of_memory": False,
        "text": "killed by signal 11 (SIGSEGV), at 0.50 GiB",
    }


def test_a_second_look_that_found_nothing_takes_nothing_back():
    """A nanny may have the plugin twice; who looks first takes the crumbs away."""
    crumb = Crumb(7, ("uuid", 3), ("Muon_pt",))

    async def story(client, watch, told):
        for crumbs in (Crumbs(Path("gone"), 1, has_nanny=True, begun=(crumb,)), None):
            client.send("beampipe-1-exits", write_notice(WORKER, {"exit_code": 3}, crumbs))
        client.send("all", removed("beampipe-1-bundle-7"))
        await until(told, 2)

    _, report = watch(story)
    assert report.begun == (crumb,)


def test_what_was_told_of_another_worker_at_the_address_is_not_taken_for_this_one():
    async def story(client, watch, told):
        client.send("beampipe-1-exits", write_notice(WORKER, {"exit_code": 3}, None))
        client.send("worker-restart-memory", {"worker": WORKER, "rss": 10})
        client.send("all", {"action": "add-worker", "worker": WORKER})
        client.send("all", removed("beampipe-1-bundle-7"))
        await until(told, 2)

    _, report = watch(story)
    assert "exit_code" not in report.seen
    assert not report.seen["is_out_of_memory"]


def test_nothing_is_told_after_the_end():
    async def story(client, watch, told):
        client.send("all", removed("beampipe-1-bundle-7"))
        await until(told, 1)
        watch.close()
        client.send("all", removed("beampipe-1-bundle-8"))
        await asyncio.sleep(0.5)
        client.plugins.append("beampipe-1-exits")  # what the second close takes away

    assert len(watch(story)) == 1


def test_a_listener_that_fails_is_told_the_rest(caplog):
    told = []

    def put(event):
        told.append(event)
        raise ValueError("the queue is broken")

    async def story(client, watch, _):
        client.send("all", removed("beampipe-1-bundle-7"))
        await until(told, 2)

    watch(story, put=put)
    assert [type(event) for event in told] == [WorkerDied, DeathReport]
    assert "could not be told" in caplog.text


def test_nannies_of_others_do_not_pile_up(monkeypatch):
    monkeypatch.setattr(death_watch, "_MOST_NOTED", 3)

    async def story(client, watch, told):
        for i in range(10):
            client.send("beampipe-1-exits", write_notice(f"tcp://a:{i}", {}, None))
        assert list(watch._notices) == ["tcp://a:7", "tcp://a:8", "tcp://a:9"]

    watch(story)


GIB = 2**30


@pytest.mark.parametrize(
    ("seen", "text", "is_out_of_memory"),
    [
        ({}, "its exit code is not available", False),
        ({"exit_code": 3}, "exited with code 3", False),
        ({"exit_code": -99}, "killed by signal 99", False),
        (
            {"exit_code": -9, "memory_bytes": 1.9 * GIB, "memory_limit_bytes": 2 * GIB},
            "killed by signal 9 (SIGKILL), at 1.90 GiB of 2.00 GiB",
            True,
        ),
        ({"exit_code": -9, "memory_bytes": GIB, "memory_limit_bytes": 2 * GIB}, "SIGKILL", False),
        (
            {"exit_code": -11, "memory_bytes": 1.9 * GIB, "memory_limit_bytes": 2 * GIB},
            "SIGSEGV",
            False,
        ),
        (
            {"exit_code": -15, "memory_bytes": GIB, "is_memory_limit": True},
            "ended by Dask's nanny: memory limit reached, at 1.00 GiB",
            True,
        ),
    ],
)
def test_a_death_is_put_into_words(seen, text, is_out_of_memory):
    assert text in describe_death(seen)
    assert seen["is_out_of_memory"] == is_out_of_memory
    code = seen.get("exit_code")
    assert seen.get("signal") == (-code if code and code < 0 else None)
    assert "is_memory_limit" not in seen
    assert signal.SIGKILL == 9
