"""The eight functionality benchmarks for analysis description languages, on NanoAOD.

Definitions: https://github.com/iris-hep/adl-benchmarks-index. Run one, or all of them::

    beampipe make-data data --files 8 --events 50000
    beampipe run examples/adl.py:q5 data
    beampipe run examples/adl.py:AllQueries data

Each query is a function of events, and returns the histograms that its definition asks for.
"""

import awkward as ak
import hist
import numpy as np
from coffea import processor
from coffea.nanoevents.methods import vector

TOP_MASS, Z_MASS = 172.5, 91.2


def histogram(values, bins, low, high, label):
    filled = hist.Hist(
        hist.axis.Regular(bins, low, high, name="x", label=label), storage=hist.storage.Int64()
    )
    return filled.fill(values)


def missing(values):
    return histogram(values, 100, 0, 200, r"$E_T^{miss}$ [GeV]")


def q1(events):
    """Missing transverse energy of all events."""
    return {"met": missing(events.MET.pt)}


def q2(events):
    """Transverse momentum of all jets."""
    return {"jet pt": histogram(ak.flatten(events.Jet.pt), 100, 0, 200, r"$p_T^{jet}$ [GeV]")}


def q3(events):
    """Transverse momentum of jets with |eta| < 1."""
    central = events.Jet[abs(events.Jet.eta) < 1]
    return {"jet pt": histogram(ak.flatten(central.pt), 100, 0, 200, r"$p_T^{jet}$ [GeV]")}


def q4(events):
    """Missing transverse energy of events with at least two jets above 40 GeV."""
    chosen = ak.sum(events.Jet.pt > 40, axis=1) >= 2
    return {"met": missing(events.MET.pt[chosen])}


def q5(events):
    """Missing transverse energy of events with an opposite-charge muon pair of 60 to 120 GeV."""
    first, second = ak.unzip(ak.combinations(events.Muon, 2))
    mass = (first + second).mass
    pair = (first.charge != second.charge) & (mass > 60) & (mass < 120)
    return {"met": missing(events.MET.pt[ak.any(pair, axis=1)])}


def q6(events):
    """Of the three jets nearest the top mass: their summed pt, and their largest b-tag."""
    jets = events.Jet[ak.num(events.Jet) >= 3]
    tag = "btagDeepFlavB" if "btagDeepFlavB" in jets.fields else "btagCSVV2"
    # Cartesian once for each jet, not once for each of its many triplets.
    cartesian = ak.zip(
        {"x": jets.px, "y": jets.py, "z": jets.pz, "t": jets.energy, "tag": jets[tag]},
        with_name="LorentzVector",
        behavior=vector.behavior,
    )
    a, b, c = ak.unzip(ak.combinations(cartesian, 3))
    triplet = a + b + c
    nearest = ak.argmin(abs(triplet.mass - TOP_MASS), axis=1, keepdims=True)
    largest = np.maximum(np.maximum(a.tag, b.tag), c.tag)
    return {
        "pt": histogram(ak.flatten(triplet.pt[nearest]), 100, 0, 200, r"$p_T^{jjj}$ [GeV]"),
        "btag": histogram(ak.flatten(largest[nearest]), 100, 0, 1, "Largest b-tag"),
    }


def q7(events):
    """Scalar sum of pt of jets above 30 GeV that are not within 0.4 of a lepton above 10 GeV."""

    def is_far_from(leptons):
        return ak.all(events.Jet.metric_table(leptons[leptons.pt > 10]) >= 0.4, axis=2)

    chosen = (events.Jet.pt > 30) & is_far_from(events.Electron) & is_far_from(events.Muon)
    total = ak.sum(events.Jet.pt[chosen], axis=1)
    return {"sum of pt": histogram(total, 100, 0, 200, r"$\sum p_T^{jet}$ [GeV]")}


def q8(events):
    """Transverse mass of missing momentum and the hardest lepton that is not of the Z.

    In events with three light leptons or more, two of which have one flavour and opposite
    charges; those two of them that are nearest the Z mass are taken for the Z.
    """
    # Few events have three: the others go before anything is done with them.
    enough = ak.num(events.Electron) + ak.num(events.Muon) >= 3
    electrons, muons, met = (v[enough] for v in (events.Electron, events.Muon, events.MET))
    leptons = ak.concatenate([four_momentum(electrons, 11), four_momentum(muons, 13)], axis=1)
    index = ak.argcombinations(leptons, 2, fields=["i", "j"])
    first, second = leptons[index.i], leptons[index.j]
    distance = abs((first + second).mass - Z_MASS)
    index, distance = (values[first.kind == -second.kind] for values in (index, distance))

    has_pair = ak.num(index) > 0
    leptons, met, index, distance = (v[has_pair] for v in (leptons, met, index, distance))
    pair = ak.firsts(index[ak.argmin(distance, axis=1, keepdims=True)])
    position = ak.local_index(leptons.pt)
    others = leptons[(position != pair.i) & (position != pair.j)]
    third = ak.firsts(others[ak.argmax(others.pt, axis=1, keepdims=True)])
    mass = np.sqrt(2 * third.pt * met.pt * (1 - np.cos(met.phi - third.phi)))
    return {"transverse mass": histogram(mass, 100, 0, 200, r"$m_T$ [GeV]")}


def four_momentum(leptons, flavour):
    return ak.zip(
        {
            "pt": leptons.pt,
            "eta": leptons.eta,
            "phi": leptons.phi,
            "mass": leptons.mass,
            "kind": flavour * leptons.charge,
        },
        with_name="PtEtaPhiMLorentzVector",
        behavior=vector.behavior,
    )


QUERIES = {"q1": q1, "q2": q2, "q3": q3, "q4": q4, "q5": q5, "q6": q6, "q7": q7, "q8": q8}


class AllQueries(processor.ProcessorABC):
    """The eight queries in one pass, as a coffea processor."""

    def process(self, events):
        """Answer every query for one chunk."""
        return {name: query(events) for name, query in QUERIES.items()}

    def postprocess(self, accumulator):
        """Leave the sums as they are."""
        return accumulator
