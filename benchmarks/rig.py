"""What several benchmarks of the engine stand on: a ledger, and somebody who looks now and then."""

from __future__ import annotations

import threading
from pathlib import Path

from beampipe.execution.ledger import Ledger
from beampipe.execution.run_directory import RunDirectory


def make_ledger(folder):
    """Make an empty ledger in a folder that is there."""
    directory = RunDirectory(Path(folder))
    directory.claims.mkdir()
    directory.segments.mkdir()
    return Ledger.take(directory, run_id="bench", driver="bench")


class Looking:
    """Calls something every so often while the block lasts, in a thread of its own."""

    def __init__(self, look, every_s):
        self._look, self._every_s = look, every_s
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._go_on, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        self._thread.join()

    def _go_on(self):
        while not self._end.wait(self._every_s):
            self._look()
