"""What the scenarios of the short set share."""

import tempfile
from pathlib import Path

import pytest
from tests.chaos.campaign import Theatre


@pytest.fixture(scope="session")
def theatre():
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder, Theatre(Path(folder)) as theatre:
        yield theatre
