"""The dimuon spectrum: from the eta to the Z, in one histogram.

Make some data and run it on this machine::

    beampipe make-data data --files 8 --events 50000
    beampipe run examples/dimuon.py:process data

or from Python::

    import beampipe
    from dimuon import process

    result = beampipe.run(process, {"Muons": "data"})
    result.output["mass"].plot1d()

It reads any NanoAOD file. Try one chunk first with ``beampipe try`` in place of ``beampipe run``,
and raise the threshold with ``--param min_pt=10``.
"""

import awkward as ak
import hist
import numpy as np


def process(events, min_pt=3.0):
    dataset = events.metadata["dataset"]
    weight = events.genWeight if "genWeight" in events.fields else np.ones(len(events))

    # Muons that are worth looking at, and the two hardest of them.
    muons = events.Muon[(events.Muon.pt > min_pt) & (abs(events.Muon.eta) < 2.4)]
    two = ak.num(muons) >= 2
    pairs, pair_weight = muons[two], weight[two]
    first, second = pairs[:, 0], pairs[:, 1]
    opposite = first.charge != second.charge
    dimuon = first + second

    mass = hist.Hist(
        hist.axis.StrCategory([], growth=True, name="charge", label="Charges"),
        hist.axis.Regular(
            1000,
            0.25,
            300,
            transform=hist.axis.transform.log,
            name="mass",
            label=r"$m_{\mu\mu}$ [GeV]",
        ),
        storage=hist.storage.Weight(),
        label="Muon pairs",
    )
    for charge, chosen in (("opposite", opposite), ("same", ~opposite)):
        mass.fill(charge, mass=dimuon.mass[chosen], weight=pair_weight[chosen])

    kinematics = hist.Hist(
        hist.axis.Regular(100, 0, 100, name="pt", label=r"$p_T^{\mu}$ [GeV]"),
        hist.axis.Regular(48, -2.4, 2.4, name="eta", label=r"$\eta^{\mu}$"),
        storage=hist.storage.Weight(),
        label="Muons",
    )
    kinematics.fill(
        pt=ak.flatten(muons.pt),
        eta=ak.flatten(muons.eta),
        weight=ak.flatten(ak.broadcast_arrays(weight, muons.pt)[0]),
    )

    z_boson = opposite & (abs(dimuon.mass - 91.2) < 15)
    return {
        "mass": mass,
        "kinematics": kinematics,
        "cutflow": {
            "all events": len(events),
            "two muons": int(ak.sum(two)),
            "opposite charges": int(ak.sum(opposite)),
            "Z window": int(ak.sum(z_boson)),
        },
        "events": {dataset: len(events)},
        "sum of weights": {dataset: float(np.sum(np.asarray(weight, dtype=float)))},
    }
