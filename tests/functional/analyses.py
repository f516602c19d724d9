"""Processors that stories share: what physicists write, for NanoEvents and for plain arrays."""

import awkward as ak
import hist
import numpy as np
from coffea import processor


def muons_jets_met(events):
    """Counts, kinematics and a mass, in integer and weighted storage."""
    dataset = events.metadata["dataset"]
    muons, jets = events.Muon, events.Jet
    leading = ak.firsts(jets[jets.pt > 20])
    out = {
        "events": len(events),
        "dataset": {dataset: len(events)},
        "cutflow": {"muons": int(ak.sum(ak.num(muons) > 0)), "jets": int(ak.sum(jets.pt > 20))},
        "muon_pt": hist.Hist.new.Reg(50, 0, 100, name="pt").Int64().fill(ak.flatten(muons.pt)),
        "jet": hist.Hist.new.Reg(30, 0, 300, name="pt").Reg(20, -5, 5, name="eta").Int64(),
        "met": hist.Hist.new.Reg(40, 0, 200, name="met").Weight(),
        "by_dataset": hist.Hist.new.StrCat([], growth=True, name="dataset")
        .Reg(10, 0, 200, name="met")
        .Int64(),
        "runs": set(np.unique(ak.to_numpy(events.run)).tolist()),
    }
    out["jet"].fill(ak.flatten(jets.pt), ak.flatten(jets.eta))
    out["met"].fill(events.MET.pt, weight=1.0 + ak.to_numpy(ak.num(jets)) / 10)
    out["by_dataset"].fill(dataset, events.MET.pt)
    out["leading"] = ak.drop_none(leading.pt, axis=0).to_list()
    return out


class MuonProcessor(processor.ProcessorABC):
    """The same for muons alone, as coffea's users write it."""

    def __init__(self, collection="Muon", minimum=3.0):
        self.collection = collection
        self.minimum = minimum

    def process(self, events):
        objects = events[self.collection]
        objects = objects[objects.pt > self.minimum]
        return {
            "n": processor.value_accumulator(int, len(events)),
            "pt": hist.Hist.new.Reg(50, 0, 100, name="pt").Int64().fill(ak.flatten(objects.pt)),
            "all_pt": processor.column_accumulator(ak.to_numpy(ak.flatten(objects.pt))),
        }

    def postprocess(self, accumulator):
        return {**accumulator, "integral": float(accumulator["pt"].sum(flow=True))}


def plain_branches(events):
    """A processor of plain Awkward arrays, `schema=None`."""
    pt = events["Muon_pt"]
    return {
        "n": len(events),
        "pt": hist.Hist.new.Reg(50, 0, 100, name="pt").Int64().fill(ak.flatten(pt)),
        "sum": float(ak.sum(ak.values_astype(pt, np.float64))),
    }


def same(left, right):
    """Compare two outputs, histograms bin by bin; lists and columns in any order."""
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[k], right[k]) for k in left)
    if isinstance(left, hist.Hist):
        return same_histograms(left, right)
    if isinstance(left, list):
        return sorted(left) == sorted(right)
    if isinstance(left, processor.column_accumulator):
        return np.array_equal(np.sort(left.value), np.sort(right.value))
    if isinstance(left, processor.AccumulatorABC):
        return left.value == right.value
    return left == right


def same_histograms(left, right):
    """Whether every bin is equal; categories may have come in another order."""
    if [axis.name for axis in left.axes] != [axis.name for axis in right.axes]:
        return False
    categories = [i for i, axis in enumerate(left.axes) if isinstance(axis, hist.axis.StrCategory)]
    if not categories:
        return _same_bins(left, right)
    (where,) = categories
    names = list(left.axes[where])
    return sorted(names) == sorted(right.axes[where]) and all(
        _same_bins(
            left[(*[slice(None)] * where, name, ...)], right[(*[slice(None)] * where, name, ...)]
        )
        for name in names
    )


def _same_bins(left, right):
    ours, theirs = left.view(flow=True), right.view(flow=True)
    if ours.dtype.names:
        # Weighted sums are added in another order: equal within rounding.
        return all(
            np.allclose(ours[name], theirs[name], rtol=1e-12, atol=0) for name in ours.dtype.names
        )
    return np.array_equal(ours, theirs)
