"""Small data with a hostile name, and an analysis in a file."""

import pytest

from beampipe.datasets.samples import make_data

SOURCE = """
import hist

def process(events, cut=0.0):
    met = events.MET.pt
    met = met[met > cut]
    return {
        "n": len(events),
        "met": hist.Hist.new.Reg(50, 0, 200, name="met").Int64().fill(met),
    }

def fail_in_the_second_file(events):
    secret = len(events)
    if "events_001" in events.metadata["filename"]:
        raise ValueError(f"no luck with {secret} events")
    return process(events)
"""


@pytest.fixture(scope="session")
def samples(tmp_path_factory):
    """Two files of 1,000 events."""
    folder = tmp_path_factory.mktemp("Z → µµ 'x' \"q\"")
    make_data(folder, files=2, events=1000, seed=7)
    return folder


@pytest.fixture
def analysis(tmp_path):
    """The path of a module with processors."""
    path = tmp_path / "my analysis.py"
    path.write_text(SOURCE)
    return path
