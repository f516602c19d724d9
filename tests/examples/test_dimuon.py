"""The example that newcomers run: its peaks, its numbers, under coffea's own runner."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot
from coffea import processor
from coffea.nanoevents import NanoAODSchema

from beampipe.datasets.samples import make_data

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FILES, EVENTS = 2, 30_000


def load_example(name):
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


process = load_example("dimuon").process


class Dimuon(processor.ProcessorABC):
    def process(self, events):
        return process(events)

    def postprocess(self, accumulator):
        return accumulator


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    # coffea's Runner takes ASCII names only.
    return make_data(tmp_path_factory.mktemp("Z to mumu 'x'"), files=FILES, events=EVENTS, seed=5)


@pytest.fixture(scope="module")
def output(files):
    runner = processor.Runner(
        processor.IterativeExecutor(status=False), chunksize=7_000, schema=NanoAODSchema
    )
    return runner({"Muons": {"files": {str(path): "Events" for path in files}}}, Dimuon())


def test_every_event_is_counted(output, files):
    assert output["cutflow"]["all events"] == FILES * EVENTS
    assert output["events"] == {"Muons": FILES * EVENTS}
    weights = np.concatenate(
        [uproot.open(path)["Events"]["genWeight"].array(library="np") for path in files]
    )
    assert output["sum of weights"]["Muons"] == np.sum(weights, dtype=float)


def test_the_cutflow_falls(output):
    counts = list(output["cutflow"].values())
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] > 1_000


def test_the_mass_histogram_holds_every_pair_once(output):
    mass = output["mass"]
    assert set(mass.axes["charge"]) == {"opposite", "same"}
    filled = mass.values(flow=True).sum()
    assert 0.25 < filled / (FILES * EVENTS) < 0.6
    same = mass[{"charge": "same"}].values(flow=True).sum()
    assert 0.02 < same / filled < 0.3


@pytest.mark.parametrize(
    ("name", "mass", "background"),
    [
        ("omega", 0.783, (0.69, 0.74)),
        ("phi", 1.019, (1.1, 1.25)),
        ("J/psi", 3.097, (2.6, 2.9)),
        ("psi'", 3.686, (3.95, 4.4)),
        ("Y(1S)", 9.460, (8.0, 9.0)),
        ("Z", 91.19, (60.0, 75.0)),
    ],
)
def test_a_resonance_stands_where_it_should(output, name, mass, background):
    """The highest bin around it is at its mass, and well above what lies beside it."""
    opposite = output["mass"][{"charge": "opposite"}]
    values, centres = opposite.values(), opposite.axes[0].centers
    around = np.abs(np.log(centres / mass)) < 0.05
    peak = np.argmax(np.where(around, values, -np.inf))
    assert centres[peak] == pytest.approx(mass, rel=0.012), name
    beside = np.mean(values[(centres > background[0]) & (centres < background[1])])
    assert values[peak] > 3 * beside


def test_muons_are_filled_with_their_events_weight(output, files):
    total = 0.0
    for path in files:
        with uproot.open(path) as file:
            columns = file["Events"].arrays(["genWeight", "Muon_pt", "Muon_eta"], how=dict)
        kept = (columns["Muon_pt"] > 3) & (abs(columns["Muon_eta"]) < 2.4)
        total += np.sum(
            ak.to_numpy(columns["genWeight"]).astype(float) * ak.to_numpy(ak.sum(kept, axis=1))
        )
    assert output["kinematics"].values(flow=True).sum() == pytest.approx(total, rel=1e-9)


def test_data_without_weights_are_counted_one_by_one(tmp_path):
    """Files of data have no genWeight; the example is for them too."""
    path = tmp_path / "data.root"
    (made,) = make_data(tmp_path, files=1, events=500)
    with uproot.open(made) as file:
        columns = file["Events"].arrays(
            ["run", "luminosityBlock", "event", "nMuon", "Muon_pt", "Muon_eta", "Muon_phi",
             "Muon_mass", "Muon_charge"],
            how=dict,
        )  # fmt: skip
    counts = columns.pop("nMuon")
    muons = {n.removeprefix("Muon_"): columns.pop(n) for n in list(columns) if "Muon" in n}
    with uproot.recreate(path) as file:
        file.mktree("Events", {**columns, "Muon": ak.zip(muons)})
    runner = processor.Runner(processor.IterativeExecutor(status=False), schema=NanoAODSchema)
    output = runner({"data": {"files": {str(path): "Events"}}}, Dimuon())
    assert output["sum of weights"] == {"data": 500.0}
    assert output["kinematics"].values(flow=True).sum() <= ak.sum(counts)
    assert output["mass"].values(flow=True).sum() == output["cutflow"]["two muons"]
