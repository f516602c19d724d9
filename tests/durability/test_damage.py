"""Every file of a run cut short at every byte, and bytes in it changed: noticed, never miscounted."""

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
    counted_chunks,
    lay_out_small_run,
    make_partial,
    work,
    write_source,
)

from beampipe.errors import NotARunError, RunFormatError
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
}
WRITTEN_ONCE = {"run": "run.json", "plan": "plan.json"}


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
    check_exact(path)
    return path


def check_noticed(path, *, is_once):
    """It is read for what it is, or refused with a reason; never with a traceback."""
    try:
        record, chunks = counted_chunks(path)
    except (NotARunError, RunFormatError) as error:
        assert is_once
        assert error.why
        with pytest.raises((NotARunError, RunFormatError)):
            read_summary(path)
        return
    except AssertionError:
        # The proof may be refused (`outcome.json` is damaged): then the sums are right all the
        # same, and the verdict names the file.
        proof = verify_run(path)
        assert "outcome.json" in proof.errors[0]
        record = read_record(path)
        assert record.output == EXPECTED
        return
    assert record.output == EXPECTED or len(chunks) < 8


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


@pytest.mark.parametrize("kind", [*KINDS, *WRITTEN_ONCE])
def test_damage_anywhere_is_noticed_and_nothing_is_counted_wrong(run, source, kind):
    names = KINDS | WRITTEN_ONCE
    path = run / names[kind]
    assert path.exists()
    number = 0
    for how in damaged(path, n_flips=200):
        number += 1
        try:
            check_noticed(run, is_once=kind in WRITTEN_ONCE)
            if kind not in WRITTEN_ONCE and number % 97 == 0:
                copy = run.with_name("copy")
                shutil.copytree(run, copy)
                (copy / "lease.json").unlink(missing_ok=True)
                work(copy, source)
                check_exact(copy)
                shutil.rmtree(copy)
        except BaseException as error:
            error.add_note(f"{names[kind]} {how}")
            raise
    check_exact(run)
