from dataclasses import dataclass, field

import pytest

from beampipe.datasets.model import Chunk, FileEntry, FilePlan
from beampipe.execution.committing import Committer
from beampipe.execution.dispatch import Dispatcher, Terms
from beampipe.execution.incidents import Incidents
from beampipe.execution.meter import Meter
from beampipe.execution.outings import Outings
from beampipe.execution.sending import Sender
from beampipe.execution.troubles import Troubles
from beampipe.execution.window import WINDOW

FILE = FilePlan(FileEntry("d", ("/a",), "Events", "uuid", 10_000), 10_000, 10_000, 10_000)


@dataclass
class Pool:
    threads: int = 2
    sent: list = field(default_factory=list)
    apart: list = field(default_factory=list)

    def submit(self, bundle, *, apart=False):
        self.sent.append(bundle)
        self.apart.append(apart)
        return f"b{bundle.number}"

    def n_threads(self):
        return self.threads

    n_workers = n_threads

    def n_merging(self):
        return 0

    def find_workers(self, keys):
        return dict.fromkeys(keys, "tcp://here:1")


@pytest.fixture
def suspected():
    """How many had been sent each time that what is held was to be made safe."""
    return []


@pytest.fixture
def sender(suspected):
    pool = Pool()
    chunks = [Chunk(FILE, k) for k in range(10_000)]
    made = Sender(
        Dispatcher(chunks, len(chunks)),
        pool,
        Committer(pool, None, [], Meter()),
        Outings(),
        Troubles(),
        Incidents(),
        before_suspect=lambda: suspected.append(len(pool.sent)),
    )
    made.dispatcher.pace.learn(10.0, 1)
    return made


def test_as_many_go_out_as_there_is_room_for(sender):
    sender.top_up()
    assert len(sender.out) == len(sender.pool.sent) == WINDOW
    sender.out.take("b1")
    sender.top_up()
    assert len(sender.out) == WINDOW
    assert sender.committer.metrics["bundles_sent"] == WINDOW + 1


def test_what_a_commit_has_yet_to_write_takes_room(sender):
    sender.value_bytes = 10_000_000
    sender.committer.n_sealed = 15
    sender.top_up()
    assert len(sender.out) == 1
    sender.committer.n_sealed = 16
    assert sender.window() == 0


def test_before_a_suspect_goes_what_is_held_is_made_safe(sender, suspected):
    chunks = sender.dispatcher.next_bundle(1).chunks
    sender.dispatcher.postpone(chunks, 0.0, Terms(attempt=2, is_suspect=True))
    sender.top_up(3, with_suspects=False)
    assert suspected == []
    assert not any(bundle.is_suspect for bundle in sender.pool.sent)
    sender.top_up(4)
    assert suspected == [3]
    assert sender.pool.sent[3].is_suspect


def test_nothing_goes_out_beside_a_bundle_that_is_to_be_alone(sender):
    sender.send(sender.dispatcher.next_bundle(1), is_quiet=True)
    sender.top_up()
    assert len(sender.pool.sent) == 1


def test_nothing_goes_out_while_what_is_out_comes_back(sender):
    sender.top_up(2)
    sender.is_draining = True
    sender.top_up(10)
    assert len(sender.pool.sent) == 2


def test_results_are_large_where_a_worker_has_no_room_for_one_more(sender):
    sender.value_bytes = 80_000_000
    assert not sender.has_large_values
    sender.value_bytes += 1
    assert sender.has_large_values
    sender.top_up()
    assert sender.pool.apart == [True, True]


def test_suspects_are_spread_over_the_workers_each_apart(sender):
    sender.pool.threads = 4
    suspects = [Chunk(FILE, k) for k in range(6)]
    sender.top_up(1)
    sender.dispatcher.suspect(suspects)
    sender.send_suspects(10)
    assert not any(sender.pool.apart)  # while another one is out
    sender.out.take("b1")
    sender.send_suspects(10)
    sent = sender.pool.sent[1:]
    assert sender.pool.apart[1:] == [True] * len(sent)
    assert [len(bundle.chunks) for bundle in sent] == [2, 2, 1, 1]
    assert [chunk for bundle in sent for chunk in bundle.chunks] == suspects
    sender.top_up()
    assert len(sender.out) == 4


def test_as_many_suspects_go_out_as_there_are_workers_for(sender):
    for number in range(5):
        sender.dispatcher.suspect([Chunk(FILE, number)])
    sender.send_suspects(10)
    assert len(sender.out) == sender.out.n_quiet == 2
    sender.out.take("b1")
    sender.send_suspects(10)
    assert len(sender.pool.sent) == 3
    sender.out.clear()
    sender.pool.threads = 0  # they are on their way
    sender.send_suspects(0)
    assert len(sender.out) == 1


def test_a_late_bundle_goes_to_another_worker_when_nothing_else_is_left(sender):
    sender.dispatcher = Dispatcher([Chunk(FILE, 0)], 1)
    sender.top_up()
    sender.out.heard_at = sender.out._out["b1"].sent_at = -1e6
    sender.start_twins()
    first, twin = sender.pool.sent
    assert twin.chunks == first.chunks
    assert twin.away == {"tcp://here:1"}
    sender.start_twins()
    assert len(sender.pool.sent) == 2
