"""Columns from one run to the next: found again, never believed when damaged or outdated."""

import shutil
from concurrent.futures import ThreadPoolExecutor

import hist
import numpy as np
import pytest

import beampipe as bp
from beampipe.reading import column_cache
from beampipe.results.summary import format_summary


def spectrum(events):
    return {
        "events": int(np.sum(events.event)),
        "met": hist.Hist.new.Reg(50, 0, 200, name="met").Int64().fill(events.MET.pt),
    }


def with_cuts(events):
    return {"met": spectrum(events[events.MET.pt > 20])["met"], "run": int(np.sum(events.run))}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("BEAMPIPE_COLUMN_DIR", str(tmp_path / "columns µ"))
    monkeypatch.setattr(column_cache, "_LEAST_LOCAL_BYTES", 0)
    return tmp_path / "columns µ"


@pytest.fixture
def run(tmp_path):
    counter = iter(range(100))

    def start(files, processor=spectrum, **options):
        return bp.run(
            processor,
            files,
            run_dir=tmp_path / f"run {next(counter)}",
            fresh=True,
            progress=False,
            **({"client": "inline", "chunksize": 500} | options),
        )

    return start


@pytest.fixture
def files(samples, tmp_path):
    return shutil.copytree(samples, tmp_path / "my samples")


def columns_in(cache):
    return sorted(cache.rglob("*.column"))


def read_of_files(result):
    return result.metrics["columns_indexed"] + result.metrics["columns_uproot"]


def test_the_second_run_reads_no_columns(files, run, cache):
    first = run(files)
    assert (first.metrics["columns_cached"], first.metrics["bytes_cached"]) == (0, 0)
    n_kept = len(columns_in(cache))
    assert n_kept == read_of_files(first) > 0
    second = run(files)
    assert second.output == first.output
    assert (second.metrics["columns_cached"], read_of_files(second)) == (n_kept, 0)
    assert second.metrics["bytes_cached"] > 0
    assert "from the column cache" in format_summary(second)


def test_other_cuts_read_only_what_is_new(files, run):
    first = run(files)
    other = run(files, with_cuts)
    assert other.metrics["columns_cached"] == read_of_files(first)
    assert read_of_files(other) == read_of_files(first) / 2, "`run` of each chunk"


def test_damage_on_disk_costs_time_and_nothing_else(files, run, cache):
    first = run(files)
    for number, path in enumerate(columns_in(cache)):
        data = bytearray(path.read_bytes())
        data[(number * 997) % len(data)] ^= 0x10
        path.write_bytes(data if number % 3 else data[: len(data) // 2])
    second = run(files)
    assert second.output == first.output
    assert second.metrics["columns_cached"] == 0
    assert run(files).metrics["columns_cached"] == len(columns_in(cache)), "mended"


def test_a_file_that_was_replaced_is_read_anew(files, run):
    run(files)
    a, b = sorted(files.rglob("*.root"))[:2]
    before = run(b).output
    shutil.copy(a, b)
    after = run(b)
    assert after.output == run(a).output != before


def test_bytes_that_were_broken_since_are_not_hidden(files, run):
    run(files)
    path = min(files.rglob("*.root"))
    data = bytearray(path.read_bytes())
    half = len(data) // 2
    data[half - 2000 : half + 2000] = bytes(4000)
    path.write_bytes(data)
    broken = run(files, on_error="skip")
    whole = run(files, on_error="skip", client="inline")
    assert broken.accounting == whole.accounting
    assert broken.output == whole.output


@pytest.mark.parametrize("size", ["off", "1 MiB"])
def test_it_takes_what_it_may(files, run, cache, monkeypatch, size):
    monkeypatch.setenv("BEAMPIPE_COLUMN_CACHE", size)
    first = run(files)
    assert run(files).output == first.output
    used = sum(path.stat().st_size for path in columns_in(cache))
    assert used <= (0 if size == "off" else 2**20)


def test_runs_at_the_same_time_share_it(files, run):
    expected = run(files).output
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda _: run(files, chunksize=300).output, range(3)))
    assert found == [expected] * 3
