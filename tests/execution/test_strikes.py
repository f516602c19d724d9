import pytest

from beampipe.errors import RunStoppedError
from beampipe.execution.manifest import Manifest
from beampipe.execution.strikes import Strikes, stopped_on_errors


@pytest.fixture
def failed(make_failed):
    return lambda k, **facts: Manifest("d", failed=(make_failed(k=k, **facts),))


def test_the_third_strike_of_one_error_ends_a_run_that_is_to_stop(failed):
    strikes = Strikes("stop")
    assert strikes.take(failed(0)) is None
    assert strikes.take(failed(1, code="another")) is None
    assert strikes.take(failed(2)) is None
    assert isinstance(strikes.take(failed(3)), RunStoppedError)


def test_a_run_that_skips_goes_on(failed):
    strikes = Strikes("skip")
    assert all(strikes.take(failed(k)) is None for k in range(50))
    strikes.give_back(failed(1))


def test_the_budget_has_a_word(failed):
    class Spent:
        given_back = None

        def take(self, dataset, failures):
            return RunStoppedError(f"{dataset} {len(failures)}")

        def give_back(self, dataset, failures):
            self.given_back = (dataset, len(failures))

    budget = Spent()
    strikes = Strikes("skip", budget)
    assert "d 1" in str(strikes.take(failed(0)))
    strikes.give_back(failed(0))
    assert budget.given_back == ("d", 1)


@pytest.mark.parametrize(
    ("code", "may_skip"), [("processor-failed", True), ("processor-output", False)]
)
def test_skipping_is_offered_where_it_would_help(make_failed, code, may_skip):
    error = stopped_on_errors(make_failed(code=code, fix="mend it"))
    assert ("--on-error skip" in error.fix) == may_skip
    assert "/a b.root" in error.why
