from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import awkward as ak
import numpy as np
import pytest
import uproot
from coffea.nanoevents import NanoAODSchema, NanoEventsFactory

from beampipe.datasets.samples.recipe import COMPRESSIONS, Recipe
from beampipe.datasets.samples.writing import read_signature, write_file

NAME = "Z → µµ 'x' \"q\".root"


def read(path):
    with uproot.open(path) as file:
        tree = file["Events"]
        names = [name for name in tree.keys() if not name.startswith("_")]  # noqa: SIM118
        return {name: tree[name].array() for name in names}


def assert_same_columns(first, second):
    assert set(first) == set(second)
    for name in first:
        assert ak.array_equal(first[name], second[name], dtype_exact=True), name


def test_tree_and_rntuple_hold_the_same_columns(tmp_path):
    tree, rntuple = (
        read(write_file(tmp_path / NAME, Recipe(700, 60, rntuple=r, cluster_events=300), 1))
        for r in (False, True)
    )
    assert len(tree["event"]) == 700
    assert_same_columns(tree, rntuple)


def test_every_compression_holds_the_same_columns(tmp_path):
    files = {
        name: write_file(tmp_path / f"{name}.root", Recipe(2000, compression=name), 0)
        for name in COMPRESSIONS
    }
    first, *others = (read(path) for path in files.values())
    for other in others:
        assert_same_columns(first, other)
    sizes = {name: path.stat().st_size for name, path in files.items()}
    assert max(sizes, key=sizes.get) == "none"
    with uproot.open(files["zstd"]) as file:
        assert isinstance(file.file.compression, uproot.ZSTD)


def test_baskets_end_at_clusters(tmp_path):
    path = write_file(tmp_path / NAME, Recipe(1_050, cluster_events=500), 0)
    with uproot.open(path) as file:
        tree = file["Events"]
        assert tree.num_entries == 1_050
        assert tree["Muon_pt"].entry_offsets == [0, 500, 1_000, 1_050]
        assert tree["MET_pt"].entry_offsets == [0, 500, 1_000, 1_050]


def test_many_clusters_are_all_there(tmp_path):
    columns = read(write_file(tmp_path / NAME, Recipe(1_000, cluster_events=40), 0))
    assert columns["event"].to_list() == list(range(1, 1_001))


@pytest.mark.parametrize("rntuple", [False, True])
def test_no_events_leave_an_empty_tree_with_its_branches(tmp_path, rntuple):
    columns = read(write_file(tmp_path / NAME, Recipe(0, rntuple=rntuple), 0))
    assert "Muon_pt" in columns
    assert all(len(values) == 0 for values in columns.values())


@pytest.mark.parametrize("rntuple", [False, True])
def test_coffea_reads_a_file_without_a_warning(tmp_path, rntuple):
    path = write_file(tmp_path / "Z to mumu 'x'.root", Recipe(3_000, 60, rntuple=rntuple), 0)
    # Warnings are errors, also those that the project's configuration lets coffea have.
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        events = NanoEventsFactory.from_root(
            {str(path): "Events"}, schemaclass=NanoAODSchema
        ).events()
        matched = events.Muon.matched_jet
    assert len(events) == 3_000
    here = ~ak.is_none(matched, axis=1)
    assert ak.sum(here) > 100
    near = events.Muon[here].delta_r(matched[here])
    assert ak.mean(near < 0.4) > 0.99
    assert ak.all(ak.num(events.FatJet.subjets, axis=2) == 2)
    assert events.Photon.mass.type.content.content.primitive.startswith("float")
    assert len(events.HLT.fields) > 5


def test_each_file_has_a_uuid_of_its_own(tmp_path):
    paths = [write_file(tmp_path / f"{k}.root", Recipe(10), 0) for k in range(2)]
    uuids = [uproot.open(path).file.uuid for path in paths]
    assert uuids[0] != uuids[1]
    assert_same_columns(*(read(path) for path in paths))


def test_a_file_comes_to_its_name_in_one_step(tmp_path):
    """Whoever has the earlier file open reads on in it: no byte of it changes."""
    path = write_file(tmp_path / NAME, Recipe(10), 0)
    before = path.read_bytes()
    with path.open("rb") as earlier:
        write_file(path, Recipe(20), 0)
        assert earlier.read() == before
    assert len(read(path)["event"]) == 20
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_says_what_it_is_made_of(tmp_path):
    recipe = Recipe(10, seed=7)
    path = write_file(tmp_path / NAME, recipe, 3)
    assert read_signature(path) == recipe.sign(3)


def test_what_is_no_sample_has_no_signature(tmp_path):
    garbage, foreign, empty = (tmp_path / name for name in ("a.root", "b.root", "c.root"))
    garbage.write_bytes(b"root, or so it says" * 50)
    empty.touch()
    with uproot.recreate(foreign) as file:
        file["hello"] = "world"
    for path in (garbage, foreign, empty, tmp_path, tmp_path / "nowhere.root"):
        assert read_signature(path) is None


def test_a_failure_leaves_nothing_behind(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("beampipe.datasets.samples.writing.build_columns", fail)
    with pytest.raises(OSError, match="No space left"):
        write_file(tmp_path / NAME, Recipe(10), 0)
    assert list(tmp_path.iterdir()) == []


def test_a_killed_writer_leaves_no_file_under_its_name(tmp_path):
    code = (
        "import sys; from pathlib import Path\n"
        "from beampipe.datasets.samples.writing import write_file\n"
        "from beampipe.datasets.samples.recipe import Recipe\n"
        "write_file(Path(sys.argv[1]) / 'x.root', Recipe(10**6, cluster_events=1000), 0)\n"
    )
    writer = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)])
    try:
        deadline = time.monotonic() + 120
        while not any(p.stat().st_size > 100_000 for p in tmp_path.iterdir()):
            assert time.monotonic() < deadline
            assert writer.poll() is None
            time.sleep(0.05)
    finally:
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
    assert list(tmp_path.glob("*.root")) == []
    assert [p.name.startswith(".x.root.") for p in tmp_path.iterdir()] == [True]


def test_the_reconstructed_masses_peak_where_they_should(tmp_path):
    columns = read(write_file(tmp_path / NAME, Recipe(40_000, seed=2), 0))
    two = columns["nMuon"] >= 2
    pt, eta, phi, charge, mass = (
        ak.to_numpy(columns[f"Muon_{name}"][two][:, :2]).astype(float)
        for name in ("pt", "eta", "phi", "charge", "mass")
    )
    opposite = charge[:, 0] != charge[:, 1]
    energy = np.sqrt((pt * np.cosh(eta)) ** 2 + mass**2).sum(axis=1)
    x, y, z = (v.sum(axis=1) for v in (pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)))
    pair = np.sqrt(energy**2 - x**2 - y**2 - z**2)
    for peak, half_width in (
        (0.783, 0.02), (1.019, 0.03), (3.097, 0.06), (3.686, 0.08),
        (9.460, 0.15), (10.023, 0.12), (91.19, 2.5),
    ):  # fmt: skip
        edges = np.linspace(peak - 9 * half_width, peak + 9 * half_width, 19)
        counts, _ = np.histogram(pair[opposite], edges)
        # Bins 8 to 10 hold the peak; the sidebands are what lies just outside of it.
        sideband = (counts[[5, 6]].mean() + counts[[12, 13]].mean()) / 2
        assert counts[8:10].max() > 2.0 * sideband + 5 * np.sqrt(sideband), peak
        assert counts[7:11].argmax() in (1, 2) or counts[8:10].max() > 0.9 * counts[7:11].max()
    assert 0.02 < np.mean(~opposite) < 0.3
