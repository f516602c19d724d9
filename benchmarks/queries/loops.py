"""The queries as one writes them by hand: uproot's arrays, Awkward and NumPy, no NanoEvents.

Each takes a dictionary of columns, and gives its histograms by name.
"""

import awkward as ak
import hist
import numpy as np

TOP_MASS, Z_MASS = 172.5, 91.2
P4 = ("pt", "eta", "phi", "mass")


def histogram(values, bins=100, low=0, high=200):
    axis = hist.axis.Regular(bins, low, high, name="x")
    return hist.Hist(axis, storage=hist.storage.Int64()).fill(values)


def cartesian(columns, name, which=slice(None)):
    pt, eta, phi, mass = (columns[f"{name}_{field}"][which] for field in P4)
    x, y, z = pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)
    return ak.zip({"x": x, "y": y, "z": z, "t": np.sqrt(x * x + y * y + z * z + mass * mass)})


def total(*parts):
    return {axis: sum(part[axis] for part in parts) for axis in "xyzt"}


def mass_of(p):
    square = p["t"] ** 2 - p["x"] ** 2 - p["y"] ** 2 - p["z"] ** 2
    return np.sqrt(np.maximum(square, 0))


def q1(columns):
    return {"met": histogram(columns["MET_pt"])}


def q2(columns):
    return {"jet pt": histogram(ak.flatten(columns["Jet_pt"]))}


def q3(columns):
    central = columns["Jet_pt"][abs(columns["Jet_eta"]) < 1]
    return {"jet pt": histogram(ak.flatten(central))}


def q4(columns):
    return {"met": histogram(columns["MET_pt"][ak.sum(columns["Jet_pt"] > 40, axis=1) >= 2])}


def q5(columns):
    muons = cartesian(columns, "Muon")
    muons["charge"] = columns["Muon_charge"]
    first, second = ak.unzip(ak.combinations(muons, 2))
    mass = mass_of(total(first, second))
    pair = (first.charge != second.charge) & (mass > 60) & (mass < 120)
    return {"met": histogram(columns["MET_pt"][ak.any(pair, axis=1)])}


def q6(columns):
    enough = ak.num(columns["Jet_pt"]) >= 3
    jets = cartesian(columns, "Jet", enough)
    jets["tag"] = columns["Jet_btagDeepFlavB"][enough]
    a, b, c = ak.unzip(ak.combinations(jets, 3))
    three = total(a, b, c)
    nearest = ak.argmin(abs(mass_of(three) - TOP_MASS), axis=1, keepdims=True)
    pt = np.hypot(three["x"][nearest], three["y"][nearest])
    largest = np.maximum(np.maximum(a.tag, b.tag), c.tag)[nearest]
    return {"pt": histogram(ak.flatten(pt)), "btag": histogram(ak.flatten(largest), 100, 0, 1)}


def is_far_from(columns, name):
    hard = columns[f"{name}_pt"] > 10
    eta, phi = columns[f"{name}_eta"][hard], columns[f"{name}_phi"][hard]
    jet_eta, eta = ak.unzip(ak.cartesian([columns["Jet_eta"], eta], nested=True))
    jet_phi, phi = ak.unzip(ak.cartesian([columns["Jet_phi"], phi], nested=True))
    turn = (jet_phi - phi + np.pi) % (2 * np.pi) - np.pi
    return ak.all((jet_eta - eta) ** 2 + turn**2 >= 0.16, axis=2)


def q7(columns):
    chosen = columns["Jet_pt"] > 30
    chosen = chosen & is_far_from(columns, "Muon") & is_far_from(columns, "Electron")
    return {"sum of pt": histogram(ak.sum(columns["Jet_pt"][chosen], axis=1))}


def q8(columns):
    parts = []
    for name, flavour in (("Electron", 11), ("Muon", 13)):
        part = cartesian(columns, name)
        part["pt"], part["phi"] = columns[f"{name}_pt"], columns[f"{name}_phi"]
        part["kind"] = flavour * columns[f"{name}_charge"]
        parts.append(part)
    leptons = ak.concatenate(parts, axis=1)
    enough = ak.num(leptons) >= 3
    leptons, pt, phi = (x[enough] for x in (leptons, columns["MET_pt"], columns["MET_phi"]))
    leptons["place"] = ak.local_index(leptons.pt)
    first, second = ak.unzip(ak.combinations(leptons, 2))
    is_pair = first.kind == -second.kind
    first, second = first[is_pair], second[is_pair]
    nearest = ak.argmin(abs(mass_of(total(first, second)) - Z_MASS), axis=1, keepdims=True)
    first, second = ak.firsts(first[nearest]), ak.firsts(second[nearest])
    found = ~ak.is_none(first)
    leptons, pt, phi = leptons[found], pt[found], phi[found]
    rest = leptons[(leptons.place != first.place[found]) & (leptons.place != second.place[found])]
    third = ak.firsts(rest[ak.argmax(rest.pt, axis=1, keepdims=True)])
    return {
        "transverse mass": histogram(np.sqrt(2 * third.pt * pt * (1 - np.cos(phi - third.phi))))
    }


def dimuon(columns):
    two = ak.num(columns["Muon_pt"]) == 2
    muons, charge = cartesian(columns, "Muon", two), columns["Muon_charge"][two]
    opposite = charge[:, 0] != charge[:, 1]
    mass = mass_of(total(muons[opposite][:, 0], muons[opposite][:, 1]))
    return {"mass": histogram(mass, 30_000, 0.25, 300)}


QUERIES = {
    "q1": q1,
    "q2": q2,
    "q3": q3,
    "q4": q4,
    "q5": q5,
    "q6": q6,
    "q7": q7,
    "q8": q8,
    "dimuon": dimuon,
}
