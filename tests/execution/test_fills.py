import functools
import inspect
import pickle
import threading
import time

import boost_histogram as bh
import hist
import numpy as np
import pytest

from beampipe.execution import fills
from beampipe.execution.fills import watch_fills

FILLS = (hist.basehist.BaseHist.fill, bh.Histogram.fill)


def current():
    return (hist.basehist.BaseHist.fill, bh.Histogram.fill)


def make(n=10):
    return hist.Hist.new.Reg(n, 0, 1, name="x").Weight()


@pytest.fixture(autouse=True)
def _classes_are_left_as_they_were():
    yield
    assert current() == FILLS
    assert fills._wrapped == []


@pytest.fixture
def slow_axis(monkeypatch):
    """What boost-histogram's own fill does takes a fixed time of a clock that tests move."""
    now = [0.0]
    monkeypatch.setattr(fills.time, "perf_counter", lambda: now[0])
    return now


def test_fills_are_measured_and_the_rest_is_not():
    x = np.linspace(0, 1, 200_000)
    with watch_fills() as clock:
        assert clock.seconds == 0
        histogram = make()
        begin = time.perf_counter()
        histogram.fill(x, weight=x)
        spent = time.perf_counter() - begin
        assert 0 < clock.seconds <= spent
        before = clock.seconds
        histogram.sum()
        assert clock.seconds == before


def test_a_fill_within_a_fill_counts_once(slow_axis):
    def original(self, *_args, **_options):
        slow_axis[0] += 3.0
        return self

    inner = fills._make_wrapper(original)
    outer = fills._make_wrapper(inner)
    with watch_fills() as clock:
        outer(object())
    assert clock.seconds == 3.0


def test_what_is_read_within_a_fill_is_reading(slow_axis):
    read = [5.0]

    def fill():
        slow_axis[0] += 3.0
        read[0] += 2.0

    with watch_fills(lambda: read[0]) as clock:
        fills._make_wrapper(fill)()
    assert clock.seconds == 1.0


def test_results_are_the_same():
    x = np.random.default_rng(1).normal(0.5, 0.2, 10_000)
    plain = make().fill(x, weight=x)
    with watch_fills():
        watched = make()
        assert watched.fill(x=x, weight=x) is watched
        assert pickle.loads(pickle.dumps(watched)) == plain
        assert inspect.signature(hist.Hist.fill) == inspect.signature(FILLS[0])
    assert watched == plain
    direct = bh.Histogram(bh.axis.Regular(10, 0, 1))
    with watch_fills() as clock:
        direct.fill(x)
    assert direct.sum(flow=True) == 10_000
    assert clock.seconds > 0


def test_errors_pass_through_and_are_timed_too():
    with watch_fills() as clock, pytest.raises(ValueError, match="axis name y"):
        make().fill(y=[1.0])
    assert clock.seconds > 0
    assert not clock.is_running


def test_each_thread_has_its_own_clock():
    x = np.linspace(0, 1, 1000)
    mine_is_open, theirs_is_done = threading.Event(), threading.Event()
    seen = {}

    def other():
        mine_is_open.wait(60)
        make().fill(x)  # a thread that watches nothing, in the same process
        with watch_fills() as clock:
            make().fill(x)
            seen["other"] = clock.seconds
        theirs_is_done.set()

    thread = threading.Thread(target=other)
    thread.start()
    with watch_fills() as clock:
        mine_is_open.set()
        theirs_is_done.wait(60)
        assert current() != FILLS  # ours is still open
        assert clock.seconds == 0
    thread.join(120)
    assert seen["other"] > 0


def test_a_wrapper_around_ours_is_left_in_place():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bh.Histogram, "fill", bh.Histogram.fill)
        with watch_fills():
            ours = bh.Histogram.fill
            theirs = functools.partialmethod(ours)
            bh.Histogram.fill = theirs
        assert vars(bh.Histogram)["fill"] is theirs
        assert bh.Histogram(bh.axis.Regular(2, 0, 1)).fill([0.5]).sum() == 1


def test_without_histograms_loaded_there_is_nothing_to_wrap(monkeypatch):
    monkeypatch.delitem(fills.sys.modules, "hist.basehist")
    monkeypatch.delitem(fills.sys.modules, "boost_histogram")
    with watch_fills() as clock:
        assert current() == FILLS
    assert clock.seconds == 0
