from __future__ import annotations

from beampipe.batch.registry import DIALECTS


def test_each_dialect_stands_under_its_own_name():
    assert [dialect.name for dialect in DIALECTS.values()] == list(DIALECTS)
