"""The queries as loops over events, compiled by Numba.

Every kernel takes flat columns. A collection is a tuple: its offsets (event *i* has the objects
from `offsets[i]` to `offsets[i + 1]`), then one array per field. Kernels add to `counts`, which
begins with the underflow. Arithmetic is in double precision. What takes arrays and is called for
every event has no loop of its own: it would not be inlined, and counting references to the arrays
takes as long as the physics.
"""

import awkward as ak
import hist
import numba
import numpy as np

TOP_MASS, Z_MASS = 172.5, 91.2
MISSING = (100, 0.0, 200.0)
BTAG = (100, 0.0, 1.0)
DIMUON = (30_000, 0.25, 300.0)

compiled = numba.njit(cache=True, nogil=True)


@compiled
def put(counts, axis, value):
    """Count a value as boost-histogram does."""
    bins, low, high = axis
    place = (value - low) / (high - low)
    if place < 0:
        counts[0] += 1
    elif place < 1:
        counts[1 + int(place * bins)] += 1
    else:
        counts[bins + 1] += 1


@compiled
def sinh(value):
    """With one exponential; near zero less exact than the library's, by the last bits of 1."""
    grown = np.exp(value)
    return (grown - 1 / grown) / 2


@compiled
def cartesian(pt, eta, phi, mass):
    x, y, z = pt * np.cos(phi), pt * np.sin(phi), pt * sinh(eta)
    return x, y, z, np.sqrt(pt * pt + z * z + mass * mass)


@compiled
def mass_of(x, y, z, t):
    return np.sqrt(max(t * t - x * x - y * y - z * z, 0.0))


@compiled
def add(p, q):
    return p[0] + q[0], p[1] + q[1], p[2] + q[2], p[3] + q[3]


@compiled
def momentum(objects, i):
    _, pt, eta, phi, mass = objects[:5]
    return cartesian(np.float64(pt[i]), np.float64(eta[i]), np.float64(phi[i]), np.float64(mass[i]))


@compiled
def polar(objects, i):
    _, pt, eta, phi, mass = objects[:5]
    return np.float64(pt[i]), np.float64(eta[i]), np.float64(phi[i]), np.float64(mass[i])


@compiled
def pair_mass(p, q):
    """Of two objects in polar coordinates: their angle needs one cosine in place of four."""
    z1, z2 = p[0] * sinh(p[1]), q[0] * sinh(q[1])
    square1, square2 = p[3] * p[3], q[3] * q[3]
    t1 = np.sqrt(p[0] * p[0] + z1 * z1 + square1)
    t2 = np.sqrt(q[0] * q[0] + z2 * z2 + square2)
    across = p[0] * q[0] * np.cos(p[2] - q[2])
    return np.sqrt(max(square1 + square2 + 2 * (t1 * t2 - z1 * z2 - across), 0.0))


@compiled
def fill_all(counts, values):
    for value in values:
        put(counts, MISSING, float(value))


@compiled
def fill_central(counts, jets):
    _, pt, eta = jets
    for i in range(len(pt)):
        if abs(eta[i]) < 1:
            put(counts, MISSING, np.float64(pt[i]))


@compiled
def fill_two_jets(counts, met, jets):
    offsets, pt = jets
    for i in range(len(met)):
        hard = 0
        for j in range(offsets[i], offsets[i + 1]):
            hard += pt[j] > 40
        if hard >= 2:
            put(counts, MISSING, float(met[i]))


@compiled
def fill_dimuon_met(counts, met, muons):
    offsets, charge = muons[0], muons[5]
    for event in range(len(met)):
        has_z = False
        for i in range(offsets[event], offsets[event + 1]):
            for j in range(i + 1, offsets[event + 1]):
                if not has_z and charge[i] != charge[j]:
                    has_z = 60 < pair_mass(polar(muons, i), polar(muons, j)) < 120
        if has_z:
            put(counts, MISSING, float(met[event]))


@compiled
def find_trijet(p4):
    """Which three are nearest the top mass: their positions, and their transverse momentum."""
    best, nearest, found = np.inf, 0.0, (0, 0, 0)
    for i in range(len(p4)):
        for j in range(i + 1, len(p4)):
            pair = add(p4[i], p4[j])
            for k in range(j + 1, len(p4)):
                x, y, z, t = add(pair, p4[k])
                distance = abs(mass_of(x, y, z, t) - TOP_MASS)
                if distance < best:
                    best, nearest, found = distance, np.sqrt(x * x + y * y), (i, j, k)
    return found, nearest


@compiled
def find_longest(offsets):
    longest = 0
    for i in range(len(offsets) - 1):
        longest = max(longest, offsets[i + 1] - offsets[i])
    return longest


@compiled
def fill_trijet(counts, btags, jets):
    offsets, tag = jets[0], jets[5]
    room = np.empty((find_longest(offsets), 4))
    for event in range(len(offsets) - 1):
        begin, n = offsets[event], offsets[event + 1] - offsets[event]
        if n < 3:
            continue
        p4 = room[:n]
        for i in range(n):
            p4[i] = momentum(jets, begin + i)
        (i, j, k), nearest = find_trijet(p4)
        put(counts, MISSING, nearest)
        put(btags, BTAG, float(max(tag[begin + i], tag[begin + j], tag[begin + k])))


@compiled
def is_far(jet_eta, jet_phi, leptons, event):
    offsets, pt, eta, phi = leptons
    for i in range(offsets[event], offsets[event + 1]):
        if pt[i] > 10:
            turn = (float(jet_phi) - phi[i] + np.pi) % (2 * np.pi) - np.pi
            side = float(jet_eta) - eta[i]
            if turn * turn + side * side < 0.16:
                return False
    return True


@compiled
def fill_jet_sum(counts, jets, muons, electrons):
    offsets, pt, eta, phi = jets
    for i in range(len(offsets) - 1):
        total = 0.0
        for j in range(offsets[i], offsets[i + 1]):
            if (
                pt[j] > 30
                and is_far(eta[j], phi[j], muons, i)
                and is_far(eta[j], phi[j], electrons, i)
            ):
                total += pt[j]
        put(counts, MISSING, total)


@compiled
def find_third(p4, kind, pt):
    """Which lepton is the hardest that is not of the Z; -1 where there is no Z."""
    best, first, second = np.inf, -1, -1
    for i in range(len(pt)):
        for j in range(i + 1, len(pt)):
            if kind[i] == -kind[j]:
                x, y, z, t = add(p4[i], p4[j])
                distance = abs(mass_of(x, y, z, t) - Z_MASS)
                if distance < best:
                    best, first, second = distance, i, j
    third = -1
    if first >= 0:
        for i in range(len(pt)):
            if i not in (first, second) and (third < 0 or pt[i] > pt[third]):
                third = i
    return third


@compiled
def copy_leptons(leptons, event, flavour, at, into):
    offsets, pt, phi, charge = leptons[0], leptons[1], leptons[3], leptons[5]
    p4, kind, all_pt, all_phi = into
    for j in range(offsets[event], offsets[event + 1]):
        p4[at] = momentum(leptons, j)
        kind[at], all_pt[at], all_phi[at] = flavour * charge[j], pt[j], phi[j]
        at += 1
    return at


@compiled
def fill_transverse_mass(counts, met, met_phi, electrons, muons):
    most = find_longest(electrons[0]) + find_longest(muons[0])
    into = np.empty((most, 4)), np.empty(most, np.int64), np.empty(most), np.empty(most)
    for event in range(len(met)):
        n = electrons[0][event + 1] - electrons[0][event]
        n += muons[0][event + 1] - muons[0][event]
        if n < 3:
            continue
        copy_leptons(muons, event, 13, copy_leptons(electrons, event, 11, 0, into), into)
        third = find_third(into[0][:n], into[1][:n], into[2][:n])
        if third >= 0:
            turn = 1 - np.cos(float(met_phi[event]) - into[3][third])
            put(counts, MISSING, np.sqrt(2 * into[2][third] * met[event] * turn))


@compiled
def fill_dimuon(counts, muons):
    offsets, charge = muons[0], muons[5]
    for i in range(len(offsets) - 1):
        j = offsets[i]
        if offsets[i + 1] - j == 2 and charge[j] != charge[j + 1]:
            put(counts, DIMUON, pair_mass(polar(muons, j), polar(muons, j + 1)))


# -- the processors ------------------------------------------------------------------------------


def flat(collection, *fields):
    """Offsets of a collection, and its fields as flat arrays."""
    columns = [collection[field] for field in fields]
    offsets = np.zeros(len(columns[0]) + 1, np.int64)
    np.cumsum(ak.to_numpy(ak.num(columns[0])), out=offsets[1:])
    return (offsets, *(ak.to_numpy(ak.flatten(column)) for column in columns))


def met(events, field="pt"):
    return ak.to_numpy(events.MET[field])


def empty(axis=MISSING):
    return np.zeros(axis[0] + 2, np.int64)


def histogram(counts, axis=MISSING):
    filled = hist.Hist(hist.axis.Regular(*axis, name="x"), storage=hist.storage.Int64())
    filled.view(flow=True)[...] = counts
    return filled


P4 = ("pt", "eta", "phi", "mass")


def q1(events):
    counts = empty()
    fill_all(counts, met(events))
    return {"met": histogram(counts)}


def q2(events):
    counts = empty()
    fill_all(counts, flat(events.Jet, "pt")[1])
    return {"jet pt": histogram(counts)}


def q3(events):
    counts = empty()
    fill_central(counts, flat(events.Jet, "pt", "eta"))
    return {"jet pt": histogram(counts)}


def q4(events):
    counts = empty()
    fill_two_jets(counts, met(events), flat(events.Jet, "pt"))
    return {"met": histogram(counts)}


def q5(events):
    counts = empty()
    fill_dimuon_met(counts, met(events), flat(events.Muon, *P4, "charge"))
    return {"met": histogram(counts)}


def q6(events):
    counts, btags = empty(), empty(BTAG)
    tag = "btagDeepFlavB" if "btagDeepFlavB" in events.Jet.fields else "btagCSVV2"
    fill_trijet(counts, btags, flat(events.Jet, *P4, tag))
    return {"pt": histogram(counts), "btag": histogram(btags, BTAG)}


def q7(events):
    counts = empty()
    jets, muons, electrons = (
        flat(collection, "pt", "eta", "phi")
        for collection in (events.Jet, events.Muon, events.Electron)
    )
    fill_jet_sum(counts, jets, muons, electrons)
    return {"sum of pt": histogram(counts)}


def q8(events):
    counts = empty()
    electrons, muons = (flat(c, *P4, "charge") for c in (events.Electron, events.Muon))
    fill_transverse_mass(counts, met(events), met(events, "phi"), electrons, muons)
    return {"transverse mass": histogram(counts)}


def dimuon(events):
    counts = empty(DIMUON)
    fill_dimuon(counts, flat(events.Muon, *P4, "charge"))
    return {"mass": histogram(counts, DIMUON)}


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
