"""The queries as coffea processors: the form that is run unchanged by coffea and by Beampipe.

The eight are those of `examples/adl.py`; the dimuon spectrum is that of ROOT's tutorial
`df102_NanoAODDimuonAnalysis`.
"""

import adl
import awkward as ak
import hist
from coffea import processor


def dimuon(events):
    """Mass of the pair in events with exactly two muons, of opposite charges."""
    two = events.Muon[ak.num(events.Muon) == 2]
    first, second = two[:, 0], two[:, 1]
    mass = (first + second).mass[first.charge != second.charge]
    filled = hist.Hist(
        hist.axis.Regular(30_000, 0.25, 300, name="x", label=r"$m_{\mu\mu}$ [GeV]"),
        storage=hist.storage.Int64(),
    )
    return {"mass": filled.fill(mass)}


QUERIES = {**adl.QUERIES, "dimuon": dimuon}


class Query(processor.ProcessorABC):
    """One of the queries."""

    def __init__(self, name):
        self.name = name

    def process(self, events):
        """Answer it for one chunk."""
        return QUERIES[self.name](events)

    def postprocess(self, accumulator):
        """Leave the sums as they are."""
        return accumulator
