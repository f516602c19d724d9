"""Small data and processors for the commands that run something."""

from __future__ import annotations

from pathlib import Path

import pytest

from beampipe.testing import tiny_files

PROCESSORS = """
import hist
import numpy as np


def spectrum(events, scale=1.0):
    x = hist.Hist.new.Reg(10, 0, 1000, name="x").Int64().fill(events.x * scale)
    return {"n": len(events), "muons": {"x": x}}


def picky(events):
    import pathlib

    if pathlib.Path("bad day").exists() and events.metadata["entrystart"] >= 500:
        raise ValueError("not 'today'")
    return {"n": len(events)}


def misspelt(events):
    return {"n": float(np.sum(events.xx))}


class Analysis:
    def __init__(self, factor=1):
        self.factor = factor

    def process(self, events):
        return {"n": len(events) * self.factor}
"""


@pytest.fixture
def workplace(tmp_path, monkeypatch) -> Path:
    """A working directory with data and an analysis, and a name that wants to be quoted."""
    folder = tmp_path / "Z → µµ 'x'"
    folder.mkdir()
    monkeypatch.chdir(folder)
    tiny_files.write_tree_file("data/a b.root", events=600)
    tiny_files.write_tree_file("data/c.root", events=400)
    tiny_files.write_tree_file("big.root", events=1000)
    Path("my analysis.py").write_text(PROCESSORS)
    return folder
