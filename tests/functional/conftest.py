"""Data and clusters that stories share."""

import pytest

from beampipe.datasets.samples import make_data


@pytest.fixture(scope="session")
def samples(tmp_path_factory):
    """Four small files of synthetic events, in a folder with a hostile name."""
    folder = tmp_path_factory.mktemp("Z → µµ 'x' \"q\"")
    make_data(folder, files=4, events=2000, seed=7)
    return folder
