from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from beampipe.execution.breakers import BreakerOptions, Breakers

OPTIONS = BreakerOptions(failures=3, first_pause_s=5, longest_pause_s=60, patience_s=600)


def opened(host="door", now=0.0):
    breakers = Breakers(OPTIONS)
    assert [breakers.failed(host, now) for _ in range(3)] == [False, False, True]
    return breakers


def test_it_opens_after_failures_in_a_row_only():
    breakers = Breakers(OPTIONS)
    for _ in range(10):
        assert not breakers.failed("door", 0.0)
        assert not breakers.failed("door", 0.0)
        assert not breakers.worked("door")
    assert not breakers.is_open("door")
    assert breakers.holds("door", 0.0) == 0


def test_other_hosts_are_left_in_peace():
    breakers = opened()
    assert breakers.open_hosts() == ("door",)
    assert breakers.holds("other", 1.0) == 0
    assert not breakers.is_open("other")


def test_one_probe_goes_through_and_a_success_closes():
    breakers = opened()
    assert breakers.holds("door", 4.0) == 1.0
    assert breakers.holds("door", 5.0) == 0
    breakers.sent("door", 5.0)
    assert breakers.holds("door", 5.0) == 60  # one is enough
    assert breakers.worked("door")
    assert breakers.holds("door", 5.0) == 0
    assert breakers.open_hosts() == ()


def test_each_failed_probe_doubles_the_pause_up_to_the_longest():
    breakers, now, pauses = opened(), 0.0, []
    for _ in range(7):
        pauses.append(breakers.holds("door", now))
        now += pauses[-1]
        breakers.sent("door", now)
        assert not breakers.failed("door", now)
    assert pauses == [5, 10, 20, 40, 60, 60, 60]


def test_those_that_were_under_way_do_not_lengthen_the_pause():
    breakers = opened()
    for _ in range(250):
        breakers.failed("door", 1.0)
    assert breakers.holds("door", 1.0) == 4.0


def test_a_probe_that_never_answers_is_followed_by_another():
    breakers = opened()
    breakers.sent("door", 5.0)
    assert breakers.holds("door", 64.0) == 1.0
    assert breakers.holds("door", 65.0) == 0


def test_a_host_is_given_up_after_the_patience_and_its_chunks_wait_no_longer():
    breakers = opened()
    assert not breakers.is_given_up("door", 599.0)
    assert breakers.is_given_up("door", 600.0)
    assert breakers.holds("door", 600.0) == 0
    assert not breakers.is_given_up("other", 600.0)
    breakers.worked("door")
    assert not breakers.is_given_up("door", 600.0)


class AnyHistory(RuleBasedStateMachine):
    """Chunks of one host that come back in whatever order; the clock only goes on."""

    @initialize(options=st.builds(BreakerOptions, st.integers(1, 4), st.just(5.0), st.just(60.0)))
    def start(self, options):
        self.breakers, self.options = Breakers(options), options
        self.now, self.in_a_row, self.last_success, self.sent_at = 0.0, 0, 0.0, []

    @rule(seconds=st.integers(0, 100))
    def time_passes(self, seconds):
        self.now += seconds

    @precondition(lambda self: self.breakers.holds("h", self.now) == 0)
    @rule()
    def send(self):
        is_probe = self.breakers.is_open("h") and not self.breakers.is_given_up("h", self.now)
        self.breakers.sent("h", self.now)
        if is_probe:
            assert self.breakers.holds("h", self.now) > 0  # never two at a time
            self.sent_at.append(self.now)

    @rule()
    def fail(self):
        was_open = self.breakers.is_open("h")
        self.in_a_row += 1
        opens = self.breakers.failed("h", self.now)
        assert opens == (not was_open and self.in_a_row == self.options.failures)

    @rule()
    def work(self):
        was_open = self.breakers.is_open("h")
        assert self.breakers.worked("h") == was_open
        self.in_a_row, self.sent_at = 0, []

    @invariant()
    def it_is_open_exactly_after_enough_failures(self):
        assert self.breakers.is_open("h") == (self.in_a_row >= self.options.failures)

    @invariant()
    def nobody_waits_longer_than_the_longest_pause(self):
        assert 0 <= self.breakers.holds("h", self.now) <= self.options.longest_pause_s

    @invariant()
    def probes_keep_their_distance(self):
        pairs = zip(self.sent_at, self.sent_at[1:], strict=False)
        assert all(later - sooner >= self.options.first_pause_s for sooner, later in pairs)


TestAnyHistory = AnyHistory.TestCase
TestAnyHistory.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)
