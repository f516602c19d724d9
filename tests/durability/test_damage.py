"""Every file of a run cut short at every byte, and bytes in it changed: never counted wrong."""

import os
import random
import shutil
from pathlib import Path

import pytest
from tests.durability.small_run import (
    DATASETS,
    EXPECTED,
    RUN_ID,
    check_exact,
    lay_out_small_run,
    make_partial,
    work,
    write_source,
)

from beampipe.errors import LedgerError, NotARunError, RunFormatError
from beampipe.execution.history import ACCEPTED, add_to_history
from beampipe.execution.lease import Lease
from beampipe.execution.ledger import Ledger
from beampipe.execution.record_reader import read_record, read_summary
from beampipe.execution.run_directory import RunDirectory
from beampipe.results.verification import verify_run

KINDS = {
    "segment": "segments/000002.zip",
    "adopted segment": "segments/000004.zip",
    "void segment": "segments/000001.zip",
    "claim": "claims/000003",
    "last claim": "claims/000011",
    "void mark": "claims/000001.void",
    "lease": "lease.json",
    "outcome": "outcome.json",
    "result": "result.zip",
    "run": "run.json",
    "plan": "plan.json",
    "history": "history.json",
}
# Without a mark that is gone from the disk the same events are there twice, and that is refused.
MAY_REFUSE = {"run", "plan", "void mark", "history"}
CHANGE = "The processor's code: µ → e"


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "000012.zip"
    write_source(path)
    return path


@pytest.fixture
def memory(tmp_path):
    base = Path("/dev/shm")
    path = (base if base.is_dir() else tmp_path) / f"beampipe-damage-{os.getpid()}"
    path.mkdir()
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def run(memory, source):
    """A finished run with a void segment of a driver that was overtaken, and a lease."""
    path = memory / "run"
    lay_out_small_run(path)
    directory = RunDirectory(path)
    old = Ledger.take(directory, run_id=RUN_ID, driver="old")
    old.release()
    late = memory / "late"
    shutil.copytree(path, late)
    work(path, source)
    # The segment that the old driver was writing appears when it wakes up.
    Ledger(RunDirectory(late), RUN_ID, "old", Lease(RunDirectory(late), "old"), 1).commit(
        make_partial(DATASETS[0], 0)
    )
    shutil.copy(late / "segments" / "000001.zip", path / "segments")
    shutil.rmtree(late)
    Lease(directory, "nobody").heartbeat()
    add_to_history(path, [{"what": ACCEPTED, "text": CHANGE}])
    check_exact(path)
    return path


def check_noticed(path, kind):
    """It is read for what it is, or refused with a reason; never with a traceback."""
    if kind in MAY_REFUSE and refused(read_record, path):
        # What is in the outcome is sealed, so it may be told without the plan.
        assert refused(read_summary, path) or (
            read_summary(path).accounting.events_processed == EXPECTED["n"]
        )
        return
    record = read_record(path)
    read_summary(path)
    if (path / KINDS["history"]).exists():  # it may say nothing, but never something else
        assert record.accepted_changes == read_summary(path).accepted_changes == (CHANGE,)
    events = record.output["n"]
    assert events == 10 * record.output["which"].bit_count() == record.accounting.events_processed
    assert (record.status == "complete") <= (record.output == EXPECTED)
    proof = verify_run(path)
    assert sum(one.events_processed for one in proof.datasets) == events
    if record.output != EXPECTED:  # a segment, or its claim: the outcome said more
        assert kind in {"segment", "adopted segment", "claim"}
        assert "outcome.json says" in proof.errors[0]
    elif not proof.is_proved:
        assert kind == "outcome"
        assert "outcome.json cannot be read" in proof.errors[0]


def refused(read, path) -> bool:
    try:
        read(path)
    except (NotARunError, RunFormatError, LedgerError) as error:
        return bool(error.why)
    return False


def damaged(path, *, n_flips):
    """The file cut short at every byte, then with bytes changed in many places."""
    data = path.read_bytes()
    for length in range(len(data)):
        path.write_bytes(data[:length])
        yield f"cut at {length}"
    chance = random.Random(path.name)  # noqa: S311
    for _ in range(n_flips):
        place = chance.randrange(len(data))
        changed = bytearray(data)
        changed[place] ^= chance.randrange(1, 256)
        path.write_bytes(changed)
        yield f"changed at {place}"
    for fill in (b"\0", b"\xff"):
        path.write_bytes(fill * len(data))
        yield f"filled with {fill!r}"
    path.unlink()
    yield "gone"
    path.write_bytes(data)


@pytest.mark.parametrize("kind", KINDS)
def test_damage_anywhere_is_noticed_and_nothing_is_counted_wrong(run, source, kind):
    path = run / KINDS[kind]
    if kind == "last claim":
        path = max((run / "claims").glob("[0-9]" * 6))
    assert path.exists()
    for number, how in enumerate(damaged(path, n_flips=100)):
        try:
            check_noticed(run, kind)
            if kind not in MAY_REFUSE and number % 97 == 0:
                copy = run.with_name("copy")
                shutil.copytree(run, copy)
                (copy / "lease.json").unlink(missing_ok=True)
                work(copy, source)
                check_exact(copy)
                shutil.rmtree(copy)
        except BaseException as error:
            error.add_note(f"{path.name} {how}")
            raise
    check_exact(run)


@pytest.mark.parametrize("method", range(16))
def test_a_member_that_says_it_is_packed_in_another_way_is_survived(run, method):
    """Seen: with wrong bytes that called themselves LZMA, `beampipe verify` gave a traceback."""
    path = run / KINDS["segment"]
    data = bytearray(path.read_bytes())
    place = data.find(b"PK\1\2")
    data[place + 10] = method
    begin = data.find(b"value/value.json") + len("value/value.json")
    for content in (b"", b"\x09\x04\x05\x00" + b"\xff" * 60, b"BZh9" + b"\xff" * 60):
        data[begin : begin + len(content)] = content
        path.write_bytes(data)
        check_noticed(run, "segment")
