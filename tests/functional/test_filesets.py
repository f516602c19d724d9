"""One analysis, its files written down in every way that Beampipe or coffea knows."""

import json
import shutil
from pathlib import Path

import pytest
from coffea.dataset_tools.filespec import DataGroupSpec

import beampipe as bp

N = 2000


def count(events):
    meta = events.metadata
    return {
        "n": len(events),
        "told": {str(meta.get("xsec"))},
        "files": {meta["filename"].rsplit("/", 1)[-1]},
        "last": {(meta["entrystart"], meta["entrystop"])},
    }


@pytest.fixture
def run(tmp_path):
    def go(fileset, **options):
        numbered = len(list(tmp_path.glob("run*")))
        return bp.run(
            count,
            fileset,
            client="inline",
            progress=False,
            run_dir=tmp_path / f"run {numbered}",
            **options,
        )

    return go


@pytest.fixture
def files(samples):
    return sorted(str(path) for path in samples.glob("*.root"))


def test_paths_globs_folders_and_lists(run, samples, files):
    for fileset in (samples, str(samples), f"{samples}/events_*.root", files, samples / "*.root"):
        assert run(fileset).output["n"] == 4 * N
    assert run(files[0]).output["n"] == N
    assert run(f"{files[0]}:Events").output["n"] == N


def test_mappings_as_coffea_has_them(run, files):
    first, second = files[:2]
    forms = [
        {"a": [first], "b": [second]},
        {"a": {"treename": "Events", "files": [first]}, "b": [second]},
        {"a": {"files": {first: "Events"}}, "b": {"files": {second: "Events"}}},
        {"a": {"files": {first: {"object_path": "Events"}}}, "b": {second: "Events"}},
    ]
    for fileset in forms:
        result = run(fileset)
        assert {name: value["n"] for name, value in result.by_dataset.items()} == {"a": N, "b": N}


def test_metadata_reach_the_processor(run, files):
    result = run({"a": {"files": {files[0]: "Events"}, "metadata": {"xsec": 831.76}}})
    assert result.output["told"] == {"831.76"}


def test_preprocessed_filesets_with_steps_do_these_steps_and_nothing_else(run, files):
    spec = {
        "a": {
            "files": {
                files[0]: {
                    "object_path": "Events",
                    "steps": [[0, 500], [700, 1000]],
                    "num_entries": N,
                    "uuid": uuid_of(files[0]),
                }
            },
            "metadata": {"xsec": 1.0},
        }
    }
    for fileset in (spec, DataGroupSpec(spec)):
        result = run(fileset)
        assert result.output["n"] == 800
        assert result.output["last"] == {(0, 500), (700, 1000)}
        assert result.accounting["a"].events_planned == 800
        assert result.status == "complete"
        assert bp.verify(result.run_dir).is_complete


def uuid_of(path):
    import uproot

    with uproot.open(path) as file:
        return str(file.file.uuid)


@pytest.mark.parametrize("kind", ["toml", "json", "yaml"])
def test_fileset_files_with_paths_from_their_own_folder(run, files, tmp_path, kind, monkeypatch):
    folder = tmp_path / "my filesets"
    (folder / "some data").mkdir(parents=True)
    shutil.copy(files[0], folder / "some data" / "a b.root")
    spec = {"DY": {"files": ["some data/*.root"], "metadata": {"xsec": 2.5}}}
    text = {
        "toml": '[DY]\nfiles = ["some data/*.root"]\nmetadata = { xsec = 2.5 }\n',
        "json": json.dumps(spec),
        "yaml": "DY:\n  files: ['some data/*.root']\n  metadata:\n    xsec: 2.5\n",
    }
    path = folder / f"fileset.{kind}"
    path.write_text(text[kind])
    monkeypatch.chdir("/")
    result = run(path)
    assert result.by_dataset["DY"]["n"] == N
    assert result.output["told"] == {"2.5"}


def test_replicas_take_the_place_of_what_is_gone(run, files, tmp_path):
    result = run({"a": [["/nowhere/events.root", files[0]], files[1]]})
    assert result.output["n"] == 2 * N
    assert result.status == "complete"


def test_a_replica_that_goes_between_plan_and_read(run, files, tmp_path):
    gone = tmp_path / "gone.root"
    shutil.copy(files[0], gone)

    def fetch_away(events):
        return count(events)

    from beampipe.datasets.fileset import read_fileset
    from beampipe.datasets.planning import make_plan
    from beampipe.execution.driver import DriverOptions
    from beampipe.execution.engine import execute, lay_out, make_context
    from beampipe.execution.inline_pool import InlinePool
    from beampipe.execution.processors import load_processor

    plan = make_plan(read_fileset({"a": [[str(gone), files[0]]]}))
    gone.unlink()
    processor = load_processor(fetch_away)
    context = make_context(processor, None, plan)
    job = lay_out(
        tmp_path / "a run", plan, processor, context=context, name="x", provenance={}, options={}
    )
    record = execute(job, InlinePool(context), options=DriverOptions())
    assert record.status == "complete"
    assert record.output["n"] == N
    assert record.output["files"] == {files[0].rsplit("/", 1)[-1]}


def test_trials_take_the_first_of_each_dataset(run, files):
    fileset = {"a": files[:2], "b": files[2:]}
    cases = [
        ({"maxfiles": 1}, 2 * N),
        ({"maxchunks": 1, "chunksize": 500}, 2 * 500),
        ({"maxevents": 700, "chunksize": 500}, 2 * 700),
        ({"maxevents": N + 1}, 2 * (N + 1)),
    ]
    for options, expected in cases:
        result = run(fileset, **options)
        assert result.output["n"] == result.accounting.events_planned == expected
        assert result.status == "complete"
        assert bp.verify(result.run_dir).is_complete


def test_a_replica_that_is_broken_half_way_gives_way_to_the_next(run, files, tmp_path):
    damaged = tmp_path / "damaged.root"
    data = bytearray(Path(files[0]).read_bytes())
    data[len(data) // 4 : len(data) // 2] = bytes(len(data) // 2 - len(data) // 4)
    damaged.write_bytes(data)

    def spectrum(events):
        import awkward as ak

        sums = {name: float(ak.sum(events[name].pt)) for name in ("Muon", "Jet", "Electron")}
        return {"n": len(events), "sums": sums}

    alone = bp.run(
        spectrum,
        damaged,
        client="inline",
        on_error="skip",
        progress=False,
        run_dir=tmp_path / "alone",
    )
    assert alone.status == "incomplete"
    result = bp.run(
        spectrum,
        {"a": [[str(damaged), files[0]]]},
        client="inline",
        progress=False,
        run_dir=tmp_path / "with a replica",
    )
    assert result.status == "complete"
    assert result.output["n"] == N
