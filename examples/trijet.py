"""The trijet nearest the top mass, written twice: with arrays, and as a loop that Numba compiles.

Both give the same histograms; the second needs no memory for combinations, and is several times
as fast where events have many jets::

    beampipe make-data data --files 8 --events 50000
    beampipe run examples/trijet.py:with_arrays data
    beampipe run examples/trijet.py:with_numba data

How kernels are compiled and kept on workers: docs/how-to/numba.md.
"""

import awkward as ak
import hist
import numba
import numpy as np

TOP_MASS = 172.5


def histograms(mass, pt):
    """What both forms fill."""
    axes = {
        "mass": hist.axis.Regular(120, 0, 600, name="mass", label=r"$m_{jjj}$ [GeV]"),
        "pt": hist.axis.Regular(100, 0, 500, name="pt", label=r"$p_T^{jjj}$ [GeV]"),
    }
    filled = {name: hist.Hist(axis, storage=hist.storage.Int64()) for name, axis in axes.items()}
    filled["mass"].fill(mass)
    filled["pt"].fill(pt)
    return filled


def with_arrays(events):
    """All combinations of three jets at once, then the best of each event."""
    jets = events.Jet[ak.num(events.Jet) >= 3]
    a, b, c = ak.unzip(ak.combinations(jets, 3))
    triplet = a + b + c
    mass, pt = triplet.mass, triplet.pt
    nearest = ak.argmin(abs(mass - TOP_MASS), axis=1, keepdims=True)
    return histograms(ak.flatten(mass[nearest]), ak.flatten(pt[nearest]))


def with_numba(events):
    """One event after the other, one combination after the other."""
    jets = events.Jet[ak.num(events.Jet) >= 3]
    counts = ak.to_numpy(ak.num(jets))
    # Flat columns: Numba knows NumPy's arrays at once; Awkward's cost seconds in every process.
    columns = [ak.to_numpy(ak.flatten(jets[name])) for name in ("pt", "eta", "phi", "mass")]
    return histograms(*find_trijets(counts, *columns))


@numba.njit(cache=True)
def find_trijets(counts, pt, eta, phi, mass):
    """Mass and transverse momentum of the best triplet of every event."""
    x, y, z = pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)
    energy = np.sqrt(x * x + y * y + z * z + mass * mass)
    best_mass, best_pt = np.empty(len(counts)), np.empty(len(counts))
    begin = 0
    for event, count in enumerate(counts):
        end = begin + count
        nearest = np.inf
        for i in range(begin, end):
            for j in range(i + 1, end):
                for k in range(j + 1, end):
                    px, py, pz = x[i] + x[j] + x[k], y[i] + y[j] + y[k], z[i] + z[j] + z[k]
                    e = energy[i] + energy[j] + energy[k]
                    found = np.sqrt(max(e * e - px * px - py * py - pz * pz, 0.0))
                    if abs(found - TOP_MASS) < nearest:
                        nearest = abs(found - TOP_MASS)
                        best_mass[event] = found
                        best_pt[event] = np.sqrt(px * px + py * py)
        begin = end
    return best_mass, best_pt
