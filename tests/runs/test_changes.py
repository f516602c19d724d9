"""What changed since a run began (whole stories: tests/functional/test_resume_changes.py)."""

import types

import pytest

from beampipe.errors import ArgumentError
from beampipe.runs.changes import check_chunksize


def test_only_the_same_chunk_size_will_do():
    job = types.SimpleNamespace(plan=types.SimpleNamespace(chunksize=100))
    check_chunksize(job, None)
    check_chunksize(job, 100)
    with pytest.raises(ArgumentError, match="chunks of 100 events"):
        check_chunksize(job, 50)
