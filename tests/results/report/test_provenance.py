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
