import copy
import socket

import numpy as np
import pytest

from beampipe.errors import AccumulationError, LedgerError
from beampipe.execution.manifest import Manifest
from beampipe.execution.partials import (
    Partial,
    Summary,
    add_metrics,
    merge_partials,
    summarize_partial,
)


def test_values_and_manifests_are_merged_together(make_partial):
    merged = merge_partials([make_partial(0), make_partial(2, 3), make_partial(1)])
    assert merged.value == {"n": 100}
    assert sorted(chunk.k for chunk in merged.manifest.done) == [0, 1, 2, 3]
    assert merged.metrics["s"] == 3.0
    assert 0 < merged.metrics["merge_s"] < 60
    again = merge_partials([merged, make_partial(4)])
    assert again.metrics["merge_s"] > merged.metrics["merge_s"]  # of all merges together


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_no_input_is_changed_so_a_merge_can_run_twice(make_partial, count):
    partials = [make_partial(k, value={"list": [k], "set": {k}}) for k in range(count)]
    before = copy.deepcopy(partials)
    first = merge_partials(partials)
    assert partials == before
    again = merge_partials(partials)
    assert (again.manifest, again.value) == (first.manifest, first.value)
    merge_partials([first, make_partial(0, uuid="v", value={"list": [9], "set": {9}})])
    assert partials == before


def test_lists_come_out_in_the_order_of_the_events(make_partial):
    merged = merge_partials([make_partial(k, value=[k]) for k in (2, 0, 3, 1)])
    assert merged.value == [0, 1, 2, 3]


def test_failures_alone_have_no_value(make_partial, make_failed):
    merged = merge_partials([make_partial(failed=(make_failed(),)), make_partial(1)])
    assert merged.value == {"n": 25}
    assert len(merged.manifest.failed) == 1
    assert merge_partials([make_partial(failed=(make_failed(),))]).value is None


def test_the_same_events_are_refused(make_partial):
    with pytest.raises(LedgerError, match="same events"):
        merge_partials([make_partial(0, 1), make_partial(1, 2)])


def test_what_cannot_be_added_names_the_dataset(make_partial, hostile_name):
    with pytest.raises(AccumulationError) as caught:
        merge_partials([make_partial(0), make_partial(1, value={"n": "text"})])
    assert caught.value.facts["dataset"] == hostile_name


def test_a_summary_leaves_the_value_behind():
    partial = Partial(Manifest("DY"), np.zeros(1000), {"a": 1.0}, (("u", 1),))
    summary = Summary(partial.manifest, {"a": 1.0}, (("u", 1),), 8000, host=socket.gethostname())
    assert summarize_partial(partial) == summary


def test_metrics_are_added_and_maxima_kept():
    assert add_metrics([{"s": 1.0, "t_max": 2.0}, {"s": 2.0, "t_max": 1.0}, {"u": 3.0}]) == {
        "s": 3.0,
        "t_max": 2.0,
        "u": 3.0,
    }
    assert add_metrics([{"t_max": -2.0}, {"t_max": -1.0}]) == {"t_max": -1.0}
