from __future__ import annotations

from beampipe.batch.registry import DIALECTS
from beampipe.testing.fake_batch.sge import COMMANDS

# What the commands do is tested with the dialect: tests/testing/test_batch_conformance.py.


def test_whatever_the_dialect_needs_is_there():
    assert set(DIALECTS["sge"].commands) <= set(COMMANDS)
