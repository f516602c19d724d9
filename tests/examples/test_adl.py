"""The ADL queries, held against plain loops over numbers that share no code with them."""

from __future__ import annotations

import importlib.util
import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import uproot
from coffea import processor
from coffea.nanoevents import NanoAODSchema

import beampipe as bp
from beampipe.datasets.samples import make_data

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
N_EVENTS = 4_000


def load_example(name):
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


adl = load_example("adl")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    # coffea's Runner takes ASCII names only.
    folder = tmp_path_factory.mktemp("Z to mumu 'x'")
    return make_data(folder, files=2, events=N_EVENTS // 2, seed=11)


@pytest.fixture(scope="module")
def answers(files):
    """What coffea's own runner makes of all queries, in chunks."""
    runner = processor.Runner(
        processor.IterativeExecutor(status=False), chunksize=700, schema=NanoAODSchema
    )
    fileset = {"sample": {"files": {str(path): "Events" for path in files}}}
    return runner(fileset, adl.AllQueries())


class Event:
    """One event as lists of plain floats."""

    def __init__(self, columns, row):
        self.met = columns["MET_pt"][row], columns["MET_phi"][row]
        self.jets, self.muons, self.electrons = (
            [
                dict(zip(fields, values, strict=True))
                for values in zip(*(columns[f"{name}_{f}"][row] for f in fields), strict=True)
            ]
            for name, fields in (
                ("Jet", ("pt", "eta", "phi", "mass", "btagDeepFlavB")),
                ("Muon", ("pt", "eta", "phi", "mass", "charge")),
                ("Electron", ("pt", "eta", "phi", "mass", "charge")),
            )
        )


@pytest.fixture(scope="module")
def events(files):
    wanted = "/^(MET|Jet|Muon|Electron)_(pt|eta|phi|mass|charge|btagDeepFlavB)$/"
    found = []
    for path in files:
        with uproot.open(path) as file:
            arrays = file["Events"].arrays(filter_name=wanted, how=dict)
        columns = {name: values.to_list() for name, values in arrays.items()}
        found += [Event(columns, row) for row in range(len(columns["MET_pt"]))]
    return found


def vector(p):
    x, y = p["pt"] * math.cos(p["phi"]), p["pt"] * math.sin(p["phi"])
    z = p["pt"] * math.sinh(p["eta"])
    return math.sqrt(p["mass"] ** 2 + x * x + y * y + z * z), x, y, z


def add(*particles):
    return [sum(parts) for parts in zip(*map(vector, particles), strict=True)]


def mass(*particles):
    e, x, y, z = add(*particles)
    return math.sqrt(max(e * e - x * x - y * y - z * z, 0))


def q1(event):
    return {"met": [event.met[0]]}


def q2(event):
    return {"jet pt": [jet["pt"] for jet in event.jets]}


def q3(event):
    return {"jet pt": [jet["pt"] for jet in event.jets if -1 < jet["eta"] < 1]}


def q4(event):
    return {"met": [event.met[0]] if sum(jet["pt"] > 40 for jet in event.jets) > 1 else []}


def q5(event):
    for a, b in itertools.combinations(event.muons, 2):
        if a["charge"] * b["charge"] < 0 and 60 < mass(a, b) < 120:
            return {"met": [event.met[0]]}
    return {"met": []}


def q6(event):
    triplets = list(itertools.combinations(event.jets, 3))
    if not triplets:
        return {"pt": [], "btag": []}
    best = min(triplets, key=lambda jets: abs(mass(*jets) - 172.5))
    _, x, y, _ = add(*best)
    return {"pt": [math.hypot(x, y)], "btag": [max(jet["btagDeepFlavB"] for jet in best)]}


def q7(event):
    leptons = [lepton for lepton in event.muons + event.electrons if lepton["pt"] > 10]

    def is_near(jet):
        return any(
            math.hypot(
                jet["eta"] - lepton["eta"],
                math.remainder(jet["phi"] - lepton["phi"], 2 * math.pi),
            )
            < 0.4
            for lepton in leptons
        )

    return {"sum of pt": [sum(j["pt"] for j in event.jets if j["pt"] > 30 and not is_near(j))]}


def q8(event):
    leptons = [{**x, "kind": 11} for x in event.electrons] + [
        {**x, "kind": 13} for x in event.muons
    ]
    pairs = [
        (a, b)
        for a, b in itertools.combinations(leptons, 2)
        if a["kind"] == b["kind"] and a["charge"] != b["charge"]
    ]
    if len(leptons) < 3 or not pairs:
        return {"transverse mass": []}
    best = min(pairs, key=lambda pair: abs(mass(*pair) - 91.2))
    third = max((x for x in leptons if x not in best), key=lambda lepton: lepton["pt"])
    met, phi = event.met
    return {
        "transverse mass": [math.sqrt(2 * third["pt"] * met * (1 - math.cos(phi - third["phi"])))]
    }


LOOPS = {"q1": q1, "q2": q2, "q3": q3, "q4": q4, "q5": q5, "q6": q6, "q7": q7, "q8": q8}


@pytest.mark.parametrize("name", list(LOOPS))
def test_a_query_equals_a_plain_loop(name, answers, events):
    expected: dict[str, list[float]] = {}
    for event in events:
        for key, values in LOOPS[name](event).items():
            expected.setdefault(key, []).extend(values)
    assert set(expected) == set(answers[name])
    for key, values in expected.items():
        found = answers[name][key]
        wanted = found.copy().reset()
        wanted.fill(values)
        assert np.sum(found.values(flow=True)) == len(values) > 20
        np.testing.assert_array_equal(found.values(flow=True), wanted.values(flow=True))


def test_every_query_is_answered_once_in_one_pass(answers):
    assert list(answers) == list(adl.QUERIES) == [f"q{n}" for n in range(1, 9)]


def test_beampipe_answers_as_coffea_does_bin_by_bin(files, answers, tmp_path):
    output = bp.run(
        adl.AllQueries(),
        {"sample": files},
        client="inline",
        chunksize=700,
        run_dir=tmp_path / "run",
        progress=False,
    ).output
    for name in adl.QUERIES:
        assert set(output[name]) == set(answers[name])
        for key, expected in answers[name].items():
            assert output[name][key] == expected
