"""Indexes of files from one run to the next: found again, and never believed against the file."""

import shutil
from dataclasses import replace

import hist
import numpy as np
import pytest

import beampipe as bp
from beampipe.datasets.samples import make_data
from beampipe.execution.index_desk import IndexDesk
from beampipe.execution.worker_shelf import worker_shelf
from beampipe.reading.index import store as stores
from beampipe.reading.index.encoding import decode_index, encode_index
from beampipe.reading.index.shelf import Made, Place
from beampipe.reading.index.store import IndexStore

CHUNK = 500
N_FILES = 4


def spectrum(events):
    return {
        "n": len(events),
        "events": int(np.sum(events.event)),
        "met": hist.Hist.new.Reg(50, 0, 200, name="met").Int64().fill(events.MET.pt),
    }


@pytest.fixture(scope="module", autouse=True)
def nothing_at_hand():
    """Leave none of our indexes on the shelf of the process."""
    yield
    worker_shelf().clear()


@pytest.fixture
def store(tmp_path, monkeypatch):
    """The store of an empty cache folder."""
    monkeypatch.setenv("BEAMPIPE_CACHE_DIR", str(tmp_path / "ca che"))
    return IndexStore(tmp_path / "ca che" / "metadata" / "indexes-v1")


@pytest.fixture
def run(tmp_path, store):
    """Run over files, all anew: neither results nor what this process has at hand are used."""
    counter = iter(range(100))

    def start(files, **options):
        worker_shelf().clear()
        return bp.run(
            spectrum,
            files,
            run_dir=tmp_path / f"run {next(counter)}",
            chunksize=CHUNK,
            fresh=True,
            progress=False,
            **({"client": "inline"} | options),
        )

    return start


@pytest.fixture(scope="module")
def expected(samples, tmp_path_factory):
    folder = tmp_path_factory.mktemp("expected")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BEAMPIPE_CACHE_DIR", str(folder / "cache"))
        patch.setenv("BEAMPIPE_INDEX_CACHE", "off")
        return bp.run(
            spectrum, samples, client="inline", run_dir=folder / "run", progress=False
        ).output


def index_files(store):
    return sorted(store.directory.glob("??/*.index"))


def change_all(store, change):
    """Put a well-formed index with other contents in the place of each."""
    for path in index_files(store):
        index = decode_index(path.read_bytes()[stores._START :])
        place = Place(index.uuid, index.treename)
        assert store.get(place) is not None
        store.put(place, Made(encode_index(change(index)), 1.0, 1))


def test_the_second_run_finds_the_indexes_of_the_first(samples, run, store, expected):
    first = run(samples, client=None, workers=2)
    assert first.output == expected
    assert first.metrics["indexes_made"] >= N_FILES
    assert len(index_files(store)) == N_FILES
    second = run(samples, client=None, workers=2)
    assert second.output == expected
    assert second.metrics["indexes_made"] == 0
    assert second.metrics["indexes_stored"] >= N_FILES
    assert second.metrics["indexes_sent"] == 0, "workers of this machine see the store"


def test_what_beampipe_index_has_made_no_run_makes_again(samples, run, store, expected):
    from click.testing import CliRunner

    from beampipe.cli.main import cli

    assert CliRunner().invoke(cli, ["index", str(samples)]).exit_code == 0
    found = run(samples)
    assert found.output == expected
    assert (found.metrics["indexes_made"], found.metrics["indexes_stored"]) == (0, N_FILES)


def test_damaged_indexes_are_made_again(samples, run, store, expected):
    run(samples)
    for number, path in enumerate(index_files(store)):
        data = bytearray(path.read_bytes())
        data[number * len(data) // N_FILES] ^= 0xFF
        path.write_bytes(data)
    found = run(samples)
    assert found.output == expected
    assert found.metrics["indexes_made"] == N_FILES
    assert run(samples).metrics["indexes_stored"] == N_FILES


@pytest.mark.parametrize(
    "shift",
    [
        lambda table: replace(table, seeks=table.seeks + 8),
        lambda table: replace(table, seeks=table.seeks[::-1].copy()),
        lambda table: replace(table, seeks=table.seeks + 10**9),
        lambda table: replace(table, sizes=table.sizes - 4),
    ],
    ids=["shifted", "swapped", "beyond the end", "too short"],
)
def test_indexes_that_are_wrong_about_their_file_change_nothing(
    samples, run, store, expected, shift
):
    run(samples)
    change_all(store, lambda index: replace(index, table=shift(index.table)))
    found = run(samples)
    assert found.output == expected
    assert found.accounting.is_complete
    assert found.metrics["indexes_made"] == N_FILES
    again = run(samples)
    assert again.output == expected
    assert again.metrics["indexes_stored"] == N_FILES
    assert again.metrics["indexes_made"] == 0, "the better ones have taken their places"


def test_a_file_that_was_replaced_is_not_read_with_the_old_index(run, store, tmp_path):
    folder = tmp_path / "da ta"
    make_data(folder, files=1, events=2000, seed=1)
    (path,) = folder.glob("*.root")
    before = run(folder).output
    make_data(tmp_path / "other", files=1, events=2000, seed=2)
    shutil.copy(next((tmp_path / "other").glob("*.root")), path)
    after = run(folder)
    assert after.output != before
    assert after.metrics["indexes_made"] == 1
    assert len(index_files(store)) == 2


def test_workers_that_do_not_see_the_store_count_the_same(
    samples, run, store, expected, monkeypatch
):
    run(samples)
    place = store.place()._replace(token="0" * 32)
    monkeypatch.setattr(IndexDesk, "place", property(lambda _: place))
    found = run(samples, client=None, workers=2)
    assert found.output == expected
    assert found.metrics["indexes_stored"] == 0


def test_switched_off_nothing_is_kept(samples, run, store, expected, monkeypatch):
    monkeypatch.setenv("BEAMPIPE_INDEX_CACHE", "off")
    assert run(samples).output == expected
    assert not store.directory.exists()


def test_a_cache_folder_that_cannot_be_written_stops_nothing(samples, run, store, expected):
    store.directory.parent.parent.mkdir(parents=True)
    store.directory.parent.write_text("a file in the place of the folder")
    found = run(samples)
    assert found.output == expected
    assert found.metrics["indexes_made"] == N_FILES
