"""Which columns each query needs: for the loop by hand, and for the floor."""


def fields(name, *fields):
    return [f"{name}_{field}" for field in fields]


P4 = ("pt", "eta", "phi", "mass")

COLUMNS = {
    "q1": ["MET_pt"],
    "q2": ["Jet_pt"],
    "q3": fields("Jet", "pt", "eta"),
    "q4": ["MET_pt", "Jet_pt"],
    "q5": ["MET_pt", *fields("Muon", *P4, "charge")],
    "q6": fields("Jet", *P4, "btagDeepFlavB"),
    "q7": [
        *fields("Jet", "pt", "eta", "phi"),
        *fields("Muon", "pt", "eta", "phi"),
        *fields("Electron", "pt", "eta", "phi"),
    ],
    "q8": [
        *fields("MET", "pt", "phi"),
        *fields("Electron", *P4, "charge"),
        *fields("Muon", *P4, "charge"),
    ],
    "dimuon": fields("Muon", *P4, "charge"),
}
