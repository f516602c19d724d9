from __future__ import annotations

from beampipe.results.report.provenance import flatten_provenance


def test_known_things_are_first_nested_ones_flat_and_empty_ones_left_out():
    lines = flatten_provenance(
        {
            "host_name": "node1",
            "versions": {"python": "3"},
            "params": {"cut": 20, "nested": {"a": [1, 2]}},
            "processor": "p.py:f",
            "schema": None,
            "inputs": [],
        }
    )
    assert lines == [
        ("Processor", "p.py:f"),
        ("Parameters: cut", "20"),
        ("Parameters: nested: a", "1, 2"),
        ("Host name", "node1"),
    ]


def test_what_was_compared_is_told_in_one_line():
    identity = {
        "rule": 1,
        "digest": "ab",
        "parts": {
            "constant CUT": {"digest": "0123456789", "value": "20"},
            "function f": {"digest": "abcdef0123"},
        },
        "unhashable": {"constant LOCK": "a lock"},
        "datasets": {"DY": "1"},
    }
    lines = dict(flatten_provenance({"processor": "f", "identity": identity}))
    assert lines["Identity"] == "ab"
    assert lines["Compared"] == "constant CUT = 20, function f abcdef01"
    assert lines["Could not be compared"] == "constant LOCK (a lock)"
