"""Drivers in processes of their own, killed or stopped before a chosen operation.

Run as a program: it forks one child for every operation (a fresh interpreter for each would take
a second), and prints one line of JSON for each.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from tests.durability.small_run import (
    check_exact,
    counted_chunks,
    lay_out_small_run,
    work,
    write_source,
)
from tests.durability.tap import Operation, tapped

from beampipe.errors import RunDirectoryExistsError, RunHeldError

DONE, HELD, FAILED = 0, 3, 4


def fork(act: Callable[[], None], log: Path) -> int:
    """Run something in a child; what it promises and what goes wrong is in `log`."""
    child = os.fork()
    if child:
        return child
    code = DONE
    try:
        act()
    except RunHeldError as error:
        with log.open("a") as stream:
            stream.write(json.dumps({"held": error.message, "holder": error.holder}) + "\n")
        code = HELD
    except BaseException:  # noqa: BLE001  the parent tells
        with log.open("a") as stream:
            stream.write(json.dumps({"error": traceback.format_exc()}) + "\n")
        code = FAILED
    os._exit(code)


def signalled(act: Callable[[], None], root: Path, at: int, number: int) -> None:
    """Send oneself a signal before operation `at`."""
    counter = iter(range(1_000_000))

    def see(_: Operation) -> None:
        if next(counter) == at:
            os.kill(os.getpid(), number)

    with tapped(root, see):
        act()


def read_log(log: Path) -> list[dict]:
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


class Place:
    """Where one try takes place."""

    def __init__(self, base: Path) -> None:
        shutil.rmtree(base, ignore_errors=True)
        base.mkdir()
        self.root = base / "disk"
        self.root.mkdir()
        self.run = self.root / "run 'µ'"
        self.source = base / "000012.zip"
        write_source(self.source)
        self.first, self.second = base / "first.log", base / "second.log"

    def promise(self, what: str) -> None:
        with self.first.open("a") as stream:
            stream.write(json.dumps({"promised": what}) + "\n")

    def whole_run(self) -> None:
        lay_out_small_run(self.run)
        self.promise("laid out")
        work(self.run, self.source, self.promise)

    def go_on(self) -> None:
        """What a user does next: resume, or run again where nothing had begun."""
        if not (self.run / "run.json").exists():
            try:
                lay_out_small_run(self.run)
            except RunDirectoryExistsError as error:
                if "never began" not in error.why:
                    raise
                shutil.rmtree(self.run)  # as it says
                lay_out_small_run(self.run)
        work(self.run, self.source)
        check_exact(self.run)

    def take_over(self) -> None:
        """As from another host, when nothing was heard of the first one for long enough."""
        (self.run / "lease.json").unlink(missing_ok=True)
        work(self.run, self.source)


def wait(child: int, options: int = 0) -> int:
    return os.waitpid(child, options)[1]


def kill_before(base: Path, at: int) -> dict | None:
    """SIGKILL before an operation of a whole run, then another process goes on."""
    place = Place(base)
    status = wait(
        fork(lambda: signalled(place.whole_run, place.root, at, signal.SIGKILL), place.first)
    )
    if os.WIFEXITED(status):
        assert os.WEXITSTATUS(status) == DONE, read_log(place.first)
        return None
    promised = {entry["promised"] for entry in read_log(place.first)}
    if promised:
        record, chunks = counted_chunks(place.run)
        assert chunks >= promised - {"laid out", "complete"}
        assert "complete" not in promised or record.accounting.is_complete
    status = wait(fork(place.go_on, place.second))
    return {"at": at, "code": os.waitstatus_to_exitcode(status), "log": read_log(place.second)}


def stop_before(base: Path, at: int) -> dict | None:
    """SIGSTOP before an operation of a driver, another takes over, then the first wakes up."""
    place = Place(base)
    lay_out_small_run(place.run)
    act = lambda: work(place.run, place.source, place.promise)  # noqa: E731
    first = fork(lambda: signalled(act, place.root, at, signal.SIGSTOP), place.first)
    status = wait(first, os.WUNTRACED)
    if os.WIFEXITED(status):
        assert os.WEXITSTATUS(status) == DONE, read_log(place.first)
        return None
    second = fork(place.take_over, place.second)
    code = os.waitstatus_to_exitcode(wait(second))
    assert code == DONE, (at, read_log(place.second))
    check_exact(place.run)
    os.kill(first, signal.SIGCONT)
    code = os.waitstatus_to_exitcode(wait(first))
    record, chunks = counted_chunks(place.run)
    third = os.waitstatus_to_exitcode(wait(fork(place.take_over, place.second)))
    check_exact(place.run)
    log = read_log(place.first)
    return {
        "at": at,
        "code": code,
        "n_chunks": len(chunks),
        "status": record.status,
        "second": second,
        "third": third,
        "held": next((one for one in log if "held" in one), None),
        "errors": [one["error"] for one in log if "error" in one],
        "is_complete": any(one.get("promised") == "complete" for one in log),
    }


def main() -> None:
    act = {"kill": kill_before, "stop": stop_before}[sys.argv[1]]
    at, step = int(sys.argv[3]), int(sys.argv[4])
    while (told := act(Path(sys.argv[2]), at)) is not None:
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()
        at += step


if __name__ == "__main__":
    main()
