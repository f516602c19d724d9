"""Files that change after they were planned, storage that fails in passing: noticed and named."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest
import uproot
from distributed import Client, LocalCluster
from tests.faults.http_server import FaultyServer

import beampipe
import beampipe.runs.run as run_module
from beampipe.reading.trees import OpenTree
from beampipe.testing import tiny_files

HOSTILE = "Z → µµ 'x' \"q\".root"
EVENTS = 1000


def write(path, events=EVENTS, **options):
    return tiny_files.write_tree_file(path, events=events, **options)


@pytest.fixture(scope="module")
def cluster():
    """Two workers, each a process of its own."""
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=50
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


@pytest.fixture(params=["inline", "cluster"])
def client(request):
    return "inline" if request.param == "inline" else request.getfixturevalue("cluster")


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Three files; the second one is about to change."""
    monkeypatch.chdir(tmp_path)
    names = ["first.root", HOSTILE, "third.root"]
    return [write(tmp_path / "data" / name) for name in names]


@pytest.fixture
def before_reading(monkeypatch):
    """Let something happen when everything is planned, and nothing read yet."""

    def arrange(happen):
        def drive(*arguments, **options):
            happen()
            return real(*arguments, **options)

        real = run_module.drive
        monkeypatch.setattr(run_module, "drive", drive)

    return arrange


def run(processor, files, **options):
    options = {"progress": False, "schema": "none", "on_error": "skip", **options}
    return beampipe.run(processor, {"DY": [str(path) for path in files]}, **options)


def count_events(events):
    return {"n": len(events), "sum": float(events.x.to_numpy().sum())}


def replace_by_another(path):
    spare = path.with_name("spare")
    write(spare)  # as many events; only the uuid tells
    spare.replace(path)


def grow(path):
    path.write_bytes(write(path.with_name("spare"), events=2 * EVENTS).read_bytes())


def truncate(path):
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def delete(path):
    path.unlink()


def empty(path):
    path.write_bytes(b"")


CHANGES = {
    replace_by_another: "reading-file-changed",
    grow: "reading-file-changed",
    truncate: "dataset-file-truncated",
    delete: "dataset-file-missing",
    empty: "dataset-file-empty",
}


def check_that_only_one_is_missing(result, code):
    """The others are whole, and what is said of the one is true."""
    assert result.status == "incomplete"
    accounting = result.accounting
    assert (accounting.events_planned, accounting.events_processed) == (3 * EVENTS, 2 * EVENTS)
    assert accounting.datasets[0].events_failed == EVENTS
    assert accounting.balances
    assert result.output == {"n": 2 * EVENTS, "sum": EVENTS * (EVENTS - 1.0)}
    for failure in result.failures:
        assert (failure.code, failure.kind) == (code, "data")
        assert Path(failure.url).name == HOSTILE
        assert failure.why
        assert failure.fix
    assert beampipe.verify(result.run_dir).is_proved


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_file_that_changes_after_it_was_planned(files, client, change, before_reading):
    before_reading(lambda: change(files[1]))
    result = run(count_events, files, client=client)
    check_that_only_one_is_missing(result, CHANGES[change])


def test_a_file_that_may_not_be_read_any_more(files, before_reading, no_privilege):
    """In this process only: workers of a cluster started by root may read everything."""
    before_reading(lambda: files[1].chmod(0))
    result = run(count_events, files, client="inline")
    check_that_only_one_is_missing(result, "dataset-file-access")
    assert {failure.attempt for failure in result.failures} == {2}  # one try elsewhere


def write_clusters(path, scale=1.0):
    """As many events, in clusters, so that there can be chunks."""
    numbers = np.arange(EVENTS, dtype="f8")
    with path.open("w+b") as handle, uproot.recreate(handle, compression=None) as file:
        file.mktree("Events", {"x": "f8", "y": "f8"})
        for part in np.split(numbers, 5):
            file["Events"].extend({"x": part, "y": scale * part})
    return path


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_file_that_changes_while_it_is_read(tmp_path, monkeypatch, change):
    """What was read before counts, as it was planned; what was not is a hole. Nothing else."""
    monkeypatch.chdir(tmp_path)
    path, log = write_clusters(tmp_path / HOSTILE), tmp_path / "log"

    def process(events):
        x = events.x.to_numpy()
        with log.open("a") as file:
            file.write(f"{x.sum()}\n")
        if log.read_text().count("\n") == 2:
            change(path)
        return {"n": len(x), "sum": float(x.sum())}

    result = run(process, [path], client="inline", chunksize=EVENTS // 5)
    # The change is noticed when the next chunk is opened; the two before were the old file's.
    done = 2 * EVENTS // 5
    assert result.output == {"n": done, "sum": done * (done - 1) / 2}
    assert len(log.read_text().split()) == 2
    (accounting,) = result.accounting.datasets
    assert (accounting.events_processed, accounting.events_failed) == (done, EVENTS - done)
    assert result.status == "incomplete"
    assert result.accounting.balances
    assert {(failure.code, failure.kind) for failure in result.failures} == {
        (CHANGES[change], "data")
    }
    assert beampipe.verify(result.run_dir).is_proved


# -- storage that fails in passing ---------------------------------------------------------------


@pytest.fixture
def served(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "served" / "a.root", events=10 * EVENTS)
    with FaultyServer(tmp_path / "served") as server:
        yield server


@pytest.mark.parametrize("fault", [503, "reset", "cut"])
def test_a_server_that_fails_in_passing_costs_tries_and_no_events(
    served, client, fault, before_reading
):
    faults = [fault] * 2

    def get_into_trouble():
        served.fault = lambda *_: faults.pop() if faults else None

    before_reading(get_into_trouble)
    result = run(count_events, [f"{served.url}/a.root"], client=client, on_error="stop")
    assert result.status == "complete"
    assert result.output == {"n": 10 * EVENTS, "sum": 10 * EVENTS * (10 * EVENTS - 1) / 2}
    assert not faults
    assert result.metrics["retries"] >= 1


def test_a_server_that_stays_in_trouble_is_called_that(served, before_reading):
    before_reading(lambda: setattr(served, "fault", lambda *_: 503))
    result = run(count_events, [f"{served.url}/a.root"], client="inline")
    (failure,) = result.failures
    assert (failure.kind, failure.rule, failure.attempt) == ("transient", "http-status", 4)
    assert "503" in failure.why
    assert "try again later" in failure.fix


@pytest.fixture
def remote_clusters(served):
    """A file of five clusters on the server, and another of as many bytes to put there."""
    spare = served.folder / "spare" / "clusters.root"
    spare.parent.mkdir()
    write_clusters(spare, scale=3.0)
    return write_clusters(served.folder / spare.name)


def test_a_remote_file_that_is_replaced_while_a_chunk_is_read_is_never_counted(
    served, remote_clusters, tmp_path
):
    path, log = remote_clusters, tmp_path / "log"

    def process(events):
        with log.open("a") as file:
            file.write("begun\n")
        is_second = log.read_text().count("\n") == 2
        if is_second:
            (path.parent / "spare" / path.name).replace(path)
        # What the first chunk asked for was read ahead; of the old file.
        x = (events.y if is_second else events.x).to_numpy()
        with log.open("a") as file:
            file.write(f"{x.sum()} ")
        return {"n": len(x), "sum": float(x.sum())}

    before = EVENTS // 5
    result = run(process, [f"{served.url}/{path.name}"], client="inline", chunksize=before)
    # The bytes of the new file came through without a complaint: three times what there was.
    assert f"{3 * sum(range(before, 2 * before)):.1f}" in log.read_text().split()
    assert result.output == {"n": before, "sum": before * (before - 1) / 2}
    assert {(failure.code, failure.kind) for failure in result.failures} == {
        ("reading-file-changed", "data")
    }
    assert (result.status, result.accounting.balances) == ("incomplete", True)
    assert beampipe.verify(result.run_dir).is_proved


def test_a_file_that_is_not_replaced_costs_a_request_per_chunk(
    served, remote_clusters, monkeypatch
):
    monkeypatch.setenv("BEAMPIPE_COLUMN_CACHE", "off")

    def count_requests():
        served.requests.clear()
        url = f"{served.url}/{remote_clusters.name}"
        result = run(count_events, [url], client="inline", chunksize=EVENTS // 5, fresh=True)
        assert result.output == {"n": EVENTS, "sum": EVENTS * (EVENTS - 1) / 2}
        return len(served.requests)

    confirmed = count_requests()
    monkeypatch.setattr(OpenTree, "confirm", lambda *_: None)
    assert confirmed == count_requests() + 5


def test_a_header_that_cannot_be_read_in_passing_costs_a_try(served, remote_clusters, tmp_path):
    flag, seen = tmp_path / "flag", tmp_path / "seen"

    def fail_once(*_):
        if not flag.exists():
            return None
        flag.unlink()
        return 503

    def process(events):
        output = count_events(events)
        if not seen.exists():
            seen.touch()
            flag.touch()
        return output

    served.fault = fail_once
    url = f"{served.url}/{remote_clusters.name}"
    result = run(process, [url], client="inline", chunksize=EVENTS // 5, on_error="stop")
    assert not flag.exists()
    assert result.output == {"n": EVENTS, "sum": EVENTS * (EVENTS - 1) / 2}
    assert (result.status, result.metrics["retries"]) == ("complete", 1)


# -- rules of one's own --------------------------------------------------------------------------


class TapeIsBusyError(Exception):
    """Stands for a class of a user's storage."""


def busy_once(events, flag=""):
    if not Path(flag).exists():
        Path(flag).touch()
        raise TapeIsBusyError("come back later")
    return count_events(events)


def test_a_rule_of_ones_own_makes_an_error_one_that_passes(files, tmp_path, client):
    processor = functools.partial(busy_once, flag=str(tmp_path / "flag"))
    result = run(processor, files[:1], client="inline")
    (failure,) = result.failures
    assert (failure.kind, failure.rule) == ("processor", "anything-else")
    Path("beampipe.toml").write_text(
        "[[error_rules]]\nerror = 'TapeIsBusyError'\nkind = 'transient'\n", encoding="utf-8"
    )
    (tmp_path / "flag").unlink()
    result = run(processor, files[:1], client=client)
    assert (result.status, result.output["n"]) == ("complete", EVENTS)
