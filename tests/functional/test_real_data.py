"""Existing processors on real CMS files, unchanged: equal to coffea's own Runner, bin by bin."""

import shutil
import warnings

import awkward as ak
import numpy as np
import pytest
import uproot
from coffea import processor
from coffea.nanoevents import NanoAODSchema
from tests.functional.analyses import MuonProcessor, muons_jets_met, plain_branches, same

import beampipe as bp

NANO = [
    "nano_dy.root",
    "nano_dimuon.root",
    "nano_tt_v12.root",
    "nanoAOD_2015_CMS_Open_Data_ttbar.root",
    "nano_dy_rntuple.root",
]
RNTUPLE = "Run2012BC_DoubleMuParked_Muons_1000evts_rntuple_v1-0-0-0.root"
CHUNK = 30


def coffea_result(function, fileset, *, schema=NanoAODSchema, executor=None):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        runner = processor.Runner(
            executor=executor or processor.IterativeExecutor(status=False),
            schema=schema,
            chunksize=CHUNK,
        )
        return runner(fileset, processor_instance=function, treename="Events")


@pytest.mark.parametrize("name", NANO)
def test_every_nano_file_gives_what_coffea_gives(real_data, tmp_path, name):
    path = str(real_data / name)
    result = bp.run(
        muons_jets_met,
        {"real": [path]},
        client="inline",
        chunksize=CHUNK,
        run_dir=tmp_path / "run",
        progress=False,
    )
    expected = coffea_result(muons_jets_met, {"real": [path]})
    assert result.status == "complete"
    assert result.output["events"] > 0
    assert same(result.output, expected)
    assert same(bp.load(tmp_path / "run").output, expected)


@pytest.mark.parametrize("executor", ["iterative", "futures"])
def test_a_coffea_processor_over_several_datasets(real_data, tmp_path, executor):
    fileset = {
        "dy": [str(real_data / "nano_dy.root")],
        "tt": [str(real_data / "nano_tt_v12.root")],
        "open data": [str(real_data / "nanoAOD_2015_CMS_Open_Data_ttbar.root")],
    }
    result = bp.run(
        MuonProcessor,
        fileset,
        params={"minimum": 5.0},
        client="inline",
        chunksize=CHUNK,
        run_dir=tmp_path / "run",
        progress=False,
    )
    chosen = {
        "iterative": processor.IterativeExecutor(status=False),
        "futures": processor.FuturesExecutor(status=False, workers=1),
    }
    expected = coffea_result(MuonProcessor(minimum=5.0), fileset, executor=chosen[executor])
    assert same(result.output, expected)
    assert result.output["integral"] > 0
    assert set(result.by_dataset) == set(fileset)
    assert "integral" not in result.by_dataset["dy"]
    total = sum(value["n"].value for value in result.by_dataset.values())
    assert total == result.output["n"].value == result.accounting.events_processed


def test_the_cms_rntuple_of_dimuons(real_data, tmp_path):
    path = str(real_data / RNTUPLE)
    result = bp.run(
        plain_branches_of_rntuple,
        path,
        schema=None,
        client="inline",
        chunksize=100,
        run_dir=tmp_path / "run",
        progress=False,
    )
    with uproot.open(path) as file:
        pt = file["Events"].arrays(["Muon_pt"])["Muon_pt"]
    values, _ = np.histogram(ak.to_numpy(ak.flatten(pt)), bins=50, range=(0, 100))
    assert result.output["n"] == len(pt) == 1000
    assert np.array_equal(result.output["pt"].values(), values)


def plain_branches_of_rntuple(events):
    return plain_branches(events)


@pytest.mark.parametrize("name", NANO[:4])
def test_plain_branches_are_what_uproot_gives(real_data, tmp_path, name):
    path = str(real_data / name)
    result = bp.run(
        plain_branches,
        path,
        schema=None,
        client="inline",
        chunksize=CHUNK,
        run_dir=tmp_path / "run",
        progress=False,
    )
    with uproot.open(path) as file:
        pt = file["Events"]["Muon_pt"].array()
    values, _ = np.histogram(ak.to_numpy(ak.flatten(pt)), bins=50, range=(0, 100))
    assert result.output["n"] == len(pt)
    assert np.array_equal(result.output["pt"].values(), values)
    assert result.output["sum"] == pytest.approx(float(ak.sum(ak.values_astype(pt, float))))


def test_a_tree_of_another_name_is_found(real_data, tmp_path):
    path = str(real_data / "uproot-HZZ.root")

    def count(events):
        return {"n": len(events), "muons": int(ak.sum(events["NMuon"]))}

    result = bp.run(
        count,
        path,
        schema="BaseSchema",
        client="inline",
        chunksize=500,
        run_dir=tmp_path / "run",
        progress=False,
    )
    with uproot.open(path) as file:
        expected = int(np.sum(file["events"]["NMuon"].array(library="np")))
    assert result.output == {"n": 2421, "muons": expected}


def test_a_file_and_its_copy_are_refused(real_data, tmp_path):
    copy = tmp_path / "a copy.root"
    shutil.copy(real_data / "nano_dy.root", copy)
    with pytest.raises(bp.BeampipeError, match="dataset-duplicate-file") as caught:
        bp.run(
            muons_jets_met,
            {"dy": [str(real_data / "nano_dy.root"), str(copy)]},
            client="inline",
            run_dir=tmp_path / "run",
            progress=False,
        )
    assert "a copy.root" in str(caught.value)
    assert "nano_dy.root" in str(caught.value)
