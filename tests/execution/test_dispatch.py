import heapq
import random
import time
from collections import Counter
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beampipe.datasets.model import Chunk, DatasetPlan, FileEntry, FilePlan, Plan
from beampipe.execution.dispatch import TARGET_S, Dispatcher, Terms


def make_plan(sizes):
    """One dataset for each list of chunks per file."""
    datasets = []
    for number, files in enumerate(sizes):
        name = f"data set {number}"
        plans = tuple(
            FilePlan(FileEntry(name, ("/a",), "Events", f"{number}-{i}", n), n, n, n)
            for i, n in enumerate(files)
        )
        datasets.append(DatasetPlan(name, plans))
    return Plan(tuple(datasets), 1)


def make_dispatcher(sizes):
    plan = make_plan(sizes)
    return Dispatcher(plan.chunks(), plan.n_chunks)


def drain(dispatcher, threads=1):
    while bundle := dispatcher.next_bundle(threads):
        yield bundle


sizes = st.lists(st.lists(st.integers(1, 12), min_size=1, max_size=3), min_size=1, max_size=3)


@given(
    sizes,
    st.lists(st.tuples(st.floats(0, 100), st.integers(0, 5)), min_size=1),
    st.integers(0, 8),
)
def test_every_chunk_goes_out_once_whatever_the_pace(sizes, paces, threads):
    dispatcher = make_dispatcher(sizes)
    out = Counter()
    numbers = []
    for n, bundle in enumerate(drain(dispatcher, threads)):
        assert bundle.chunks
        assert {chunk.plan.file.dataset for chunk in bundle.chunks} == {bundle.dataset}
        out.update(chunk.key for chunk in bundle.chunks)
        numbers.append(bundle.number)
        dispatcher.pace.learn(*paces[n % len(paces)])
    assert out == Counter(chunk.key for chunk in make_plan(sizes).chunks())
    assert numbers == sorted(set(numbers))
    assert dispatcher.n_left == 0
    assert dispatcher.next_bundle(threads) is None


@given(sizes, st.data())
def test_what_comes_back_goes_out_again_and_nothing_else(sizes, data):
    dispatcher = make_dispatcher(sizes)
    dispatcher.pace.learn(data.draw(st.sampled_from([0.01, 1, 5, 20])), 1)
    undone = {chunk.key for chunk in make_plan(sizes).chunks()}
    for _ in range(300):
        bundle = dispatcher.next_bundle(2) or dispatcher.next_suspect()
        if bundle is None:
            break
        keys = {chunk.key for chunk in bundle.chunks}
        assert keys <= undone
        assert len(keys) == len(bundle.chunks)
        assert {dataset for dataset, _, _ in keys} == {bundle.dataset}
        fate = data.draw(st.sampled_from(["done", "done", "early", "refused", "lost"]))
        if fate == "refused" and bundle.attempt == 1:
            dispatcher.give_back(bundle.chunks)
            dispatcher.pace.learn(30, 1)
        elif fate == "lost" and bundle.attempt == 1:
            dispatcher.suspect(bundle.chunks)
        elif fate == "early":
            dispatcher.give_back(bundle.chunks[1:])
            undone.remove(bundle.chunks[0].key)
        else:
            undone -= keys
        assert dispatcher.n_left == len(undone)
    else:
        return  # refused again and again
    assert not undone


def test_the_first_bundles_are_of_one_chunk():
    dispatcher = make_dispatcher([[100]])
    assert [len(bundle.chunks) for bundle in islice(drain(dispatcher), 5)] == [1] * 5


@pytest.mark.parametrize(("chunk_s", "expected"), [(0.5, 20), (10.0, 1), (100.0, 1), (0.01, 1000)])
def test_a_bundle_takes_about_ten_seconds(chunk_s, expected):
    dispatcher = make_dispatcher([[50_000]])
    dispatcher.pace.learn(5 * chunk_s, 5)
    bundle = dispatcher.next_bundle(4)
    assert len(bundle.chunks) == expected
    assert bundle.budget_s > TARGET_S


def test_towards_the_end_bundles_are_short_enough_for_every_thread():
    dispatcher = make_dispatcher([[60]])
    dispatcher.pace.learn(0.2, 1)
    assert len(dispatcher.next_bundle(10).chunks) == 3
    longest = max(len(bundle.chunks) for bundle in drain(dispatcher, 10))
    assert longest <= 3


def test_quick_chunks_are_not_sent_one_by_one():
    dispatcher = make_dispatcher([[100]])
    dispatcher.pace.learn(0.001, 1)
    assert len(dispatcher.next_bundle(1000).chunks) == 100


def test_no_pace_makes_a_bundle_of_everything():
    dispatcher = make_dispatcher([[50_000]])
    dispatcher.pace.learn(0.0, 100)
    assert len(dispatcher.next_bundle(1).chunks) == 4096


def test_a_million_chunks_are_never_held():
    read = 0
    plan = make_plan([[1_000_000]])

    def stream():
        nonlocal read
        for k in range(1_000_000):
            read += 1
            yield Chunk(plan.datasets[0].files[0], k)

    dispatcher = Dispatcher(stream(), 1_000_000)
    assert read == 0
    sent = sum(len(bundle.chunks) for bundle in islice(drain(dispatcher, 100), 256))
    assert read == sent + 1
    dispatcher.pace.learn(1.0, 1)
    assert len(dispatcher.next_bundle(100).chunks) == 10
    assert read == sent + 11
    assert dispatcher.n_left == 1_000_000 - sent - 10


def test_what_comes_back_goes_first_and_in_order():
    dispatcher = make_dispatcher([[10]])
    dispatcher.pace.learn(3.4, 1)
    first = dispatcher.next_bundle(1)
    assert [chunk.k for chunk in first.chunks] == [0, 1]
    dispatcher.give_back(first.chunks)
    assert dispatcher.next_bundle(1).chunks == first.chunks


def test_what_comes_back_is_held_back_like_all_others_while_its_host_fails():
    dispatcher = make_dispatcher([[10]])
    first = dispatcher.next_bundle(1)
    dispatcher.give_back(first.chunks)
    dispatcher.hold = lambda _chunk, _terms: 60.0
    assert dispatcher.next_bundle(1) is None
    assert dispatcher.n_left == 10


def test_suspects_go_out_only_when_asked_for_and_as_they_were():
    dispatcher = make_dispatcher([[8]])
    dispatcher.pace.learn(0.1, 1)
    bundle = dispatcher.next_bundle(1)
    half = len(bundle.chunks) // 2
    dispatcher.suspect(bundle.chunks[:half])
    dispatcher.suspect(bundle.chunks[half:])
    assert dispatcher.n_left == 8
    assert all(one.attempt == 1 for one in drain(dispatcher, 1))
    assert dispatcher.n_left == len(bundle.chunks)
    suspects = [dispatcher.next_suspect(), dispatcher.next_suspect()]
    assert [one.chunks for one in suspects] == [bundle.chunks[:half], bundle.chunks[half:]]
    assert {one.attempt for one in suspects} == {2}
    assert dispatcher.next_suspect() is None
    assert dispatcher.n_left == 0


def test_bundles_of_the_queue_do_not_mix_datasets_either():
    dispatcher = make_dispatcher([[2], [2]])
    dispatcher.pace.learn(0.001, 1)
    both = [*dispatcher.next_bundle(1).chunks, *dispatcher.next_bundle(1).chunks]
    dispatcher.give_back(both)
    assert [bundle.dataset for bundle in drain(dispatcher)] == ["data set 0", "data set 1"]


def test_a_stream_that_is_shorter_than_said_comes_to_an_end():
    plan = make_plan([[3]])
    dispatcher = Dispatcher(plan.chunks(), 5)
    assert sum(len(bundle.chunks) for bundle in drain(dispatcher)) == 3
    assert dispatcher.n_left == 0


def test_an_empty_stream_ends_at_once():
    dispatcher = Dispatcher([], 1)
    assert dispatcher.next_bundle(1) is None
    assert dispatcher.n_left == 0


def test_the_first_rounds_are_short_where_that_is_asked_for():
    dispatcher = make_dispatcher([[100]])
    dispatcher.short_rounds = 2
    for _ in range(3):
        dispatcher.pace.learn(0.001, 1)
    assert [len(bundle.chunks) for bundle in drain(dispatcher, 3)] == [1] * 6 + [94]


def play(dispatcher, n_threads, chunk_s):
    """Do everything in virtual time, two bundles for each thread as a driver sends them.

    Gives when each chunk was done, and how long the longest bundle took.
    """
    ends, out = [], []
    free_at = [0.0] * n_threads  # of each thread, when all that was sent to it is done
    longest_s = now = 0.0
    while True:
        while len(out) < 2 * n_threads and (bundle := dispatcher.next_bundle(n_threads)):
            thread = min(range(n_threads), key=free_at.__getitem__)
            begin = max(now, free_at[thread])
            spent_s = sum(chunk_s(chunk) for chunk in bundle.chunks)
            free_at[thread] = begin + spent_s
            longest_s = max(longest_s, spent_s)
            heapq.heappush(out, (begin + spent_s, bundle.number, spent_s, bundle))
        if not out:
            return ends, longest_s
        now, _, spent_s, bundle = heapq.heappop(out)
        dispatcher.pace.learn(spent_s, len(bundle.chunks), bundle.dataset)
        ends += [now] * len(bundle.chunks)


def tail_of(ends):
    ends = sorted(ends)
    return ends[-1] - ends[int(0.95 * len(ends))]


@pytest.mark.parametrize("n_threads", [1, 7, 100])
@pytest.mark.parametrize("chunk_s", [0.02, 1.0, 4.0])
def test_the_last_chunks_take_no_longer_than_one_bundle(n_threads, chunk_s):
    dispatcher = make_dispatcher([[60 * n_threads]])
    dispatcher.short_rounds = 4
    ends, longest_s = play(dispatcher, n_threads, lambda _: chunk_s)
    assert len(ends) == 60 * n_threads
    assert tail_of(ends) <= max(longest_s, 2 * chunk_s)
    assert ends[-1] <= 1.15 * 60 * chunk_s + 2 * chunk_s


def test_a_dataset_whose_chunks_are_slow_does_not_draw_out_the_end():
    dispatcher = make_dispatcher([[2_000], [1_000]])
    slow = "data set 1"
    ends, longest_s = play(
        dispatcher, 50, lambda chunk: 3.0 if chunk.plan.file.dataset == slow else 0.02
    )
    assert tail_of(ends) <= min(TARGET_S, longest_s)
    assert ends[-1] <= 1.1 * (2_000 * 0.02 + 1_000 * 3.0) / 50


def test_many_small_datasets_keep_all_threads_at_work():
    dispatcher = make_dispatcher([[3]] * 400)
    dispatcher.short_rounds = 4
    ends, _ = play(dispatcher, 20, lambda _: 1.0)
    assert ends[-1] <= 1.1 * 1200 / 20 + 3


def test_thousands_of_threads_get_longer_bundles():
    dispatcher = make_dispatcher([[10_000_000]])
    dispatcher.pace.learn(1.0, 1)
    assert len(dispatcher.next_bundle(2_000).chunks) == 10
    bundle = dispatcher.next_bundle(10_000)
    assert len(bundle.chunks) == 50
    assert bundle.budget_s == 75


def test_a_few_hundred_short_bundles_are_enough_for_thousands_of_threads():
    dispatcher = make_dispatcher([[10_000_000]])
    dispatcher.short_rounds = 4
    dispatcher.pace.learn(1.0, 1)
    sizes = [len(bundle.chunks) for bundle in islice(drain(dispatcher, 1_000), 600)]
    assert sizes == [1] * 512 + [5] * 88


def test_the_quickest_chunks_come_back_first_and_are_not_believed_at_once():
    """Else the first bundles are twice as long as all others, and some of them are the last."""
    rng = random.Random(5)  # noqa: S311  (no secrets)
    dispatcher = make_dispatcher([[400 * 40]])
    dispatcher.short_rounds = 4
    ends, longest_s = play(dispatcher, 400, lambda _: rng.lognormvariate(-0.045, 0.3))
    assert longest_s <= 1.4 * TARGET_S
    assert tail_of(ends) <= 5.0


def test_a_whole_block_of_suspects_stays_whole():
    plan = make_plan([[8]])
    dispatcher = Dispatcher(plan.chunks(), plan.n_chunks, is_whole=True)
    chunks = dispatcher.next_bundle(1).chunks
    dispatcher.suspect(chunks)
    assert dispatcher.next_suspect(100).chunks == chunks


def test_suspects_wait_where_they_are_not_wanted():
    dispatcher = make_dispatcher([[4]])
    first = dispatcher.next_bundle(1)
    terms = Terms(attempt=2, is_suspect=True)
    dispatcher.postpone(first.chunks, 0.0, terms)
    others = [dispatcher.next_bundle(1, with_suspects=False) for _ in range(4)]
    assert [bundle and bundle.is_suspect for bundle in others] == [False, False, False, None]
    assert dispatcher.next_bundle(1).is_suspect


def test_one_waits_no_longer_than_until_the_next_chunk_may_go():
    dispatcher = make_dispatcher([[4]])
    assert dispatcher.pause_s(0.2) == 0.2
    chunks = dispatcher.next_bundle(1).chunks
    dispatcher.postpone(chunks, time.monotonic() + 1e6, Terms(attempt=2))
    assert dispatcher.pause_s(0.2) == 0.2
    dispatcher.postpone(chunks, time.monotonic() + 50, Terms(attempt=2))
    assert 0.01 <= dispatcher.pause_s(1e6) <= 50
