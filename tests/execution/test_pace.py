import pytest

from beampipe.execution.pace import Pace


def test_the_pace_follows_the_latest_bundles():
    pace = Pace()
    pace.learn(1.0, 0)
    assert pace.done == 0
    pace.learn(2.0, 2)
    assert pace.chunk_s == 1.0
    for _ in range(60):
        pace.learn(6.0, 2)
    assert pace.chunk_s == pytest.approx(3.0, rel=0.01)


def test_each_dataset_has_its_own_pace():
    pace = Pace()
    pace.learn(10.0, 1, "slow")
    pace.learn(2.0, 2, "quick")
    assert pace.of("slow") == 10.0
    assert pace.of("quick") == 1.0
    assert pace.of("new") == pace.chunk_s == 5.5
