"""Large results on small workers, as `benchmarks/memory.py` measures them."""

import pytest
from benchmarks.memory import EVENTS, Case, run_case

from beampipe.datasets.samples import make_data

MB = 1e6


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    make_data(folder, files=1, events=EVENTS)
    return folder


def test_many_large_partials_leave_workers_and_driver_small(data, tmp_path):
    small = Case("idle", 1_000, 40)
    _, idle = run_case(small, data, tmp_path / "idle")
    result, watch = run_case(Case("large", 10_000_000, 80), data, tmp_path / "large")
    assert result.output["n"] == EVENTS
    assert max(watch.workers) - min(idle.workers) < 400 * MB
    assert watch.driver < 400 * MB
    assert result.metrics["workers_died"] == 0


def test_a_histogram_of_160_megabytes_fits_into_workers_of_1500(data, tmp_path):
    case = Case("huge", 160_000_000, 10, "1.5 GB")
    result, watch = run_case(case, data, tmp_path)
    assert result.output["n"] == EVENTS
    assert result.is_complete
    assert result.metrics["workers_died"] == 0
    assert max(watch.workers) < 1_425 * MB
