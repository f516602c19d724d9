"""Places in the engine where a driver of the harness can be held, so that a blow can be aimed.

The engine knows nothing of this: the functions are wrapped in the driver's own process. A gate
that is reached makes the file `reached` and waits until `go` is there, or is killed as it stands.
"""

import functools
import importlib
import threading
import time
from pathlib import Path

# By name: the function ("module:attribute"), and on which side of it.
POINTS = {
    "before a merge": ("beampipe.execution.dask_pool:DaskPool.merge", "before"),
    "after a merge is sent": ("beampipe.execution.dask_pool:DaskPool.merge", "after"),
    "before a pull": ("beampipe.execution.dask_pool:DaskPool.pull", "before"),
    "between pull and commit": ("beampipe.execution.dask_pool:DaskPool.pull", "after"),
    "before a commit": ("beampipe.execution.ledger:Ledger.commit_all", "before"),
    "in a commit, segment not begun": ("beampipe.execution.ledger:fill_segment", "before"),
    "in a commit, segment without a name": ("beampipe.execution.ledger:fill_segment", "after"),
    "in a commit, something on its way to the disk": ("os:fsync", "before"),
    "in a commit, before a claim": ("beampipe.execution.ledger:create_exclusive", "before"),
    "in a commit, after a claim": ("beampipe.execution.ledger:create_exclusive", "after"),
    "in a commit, before a segment has its name": ("beampipe.execution.ledger:publish", "before"),
    "in a commit, after a segment has its name": ("beampipe.execution.ledger:publish", "after"),
    "between commit and release": ("beampipe.execution.ledger:Ledger.commit_all", "after"),
    "after a release": ("beampipe.execution.dask_pool:DaskPool.release", "after"),
    "before the result is written": ("beampipe.execution.engine:write_result", "before"),
    "before the outcome is written": ("beampipe.execution.engine:write_outcome", "before"),
}
LATE = ("before the result is written", "before the outcome is written")
# These happen before the first commit, too; the gate counts only what comes after it.
_WITHIN_COMMIT = ("os:fsync", "beampipe.execution.ledger:create_exclusive")


class Gate:
    """One place, and the time at which it holds the driver."""

    def __init__(self, point, nth, reached, go):
        self.target, self.side = POINTS[point]
        self.left = nth
        self.reached, self.go = Path(reached), Path(go)
        self.is_in_commit = False

    def hold(self):
        is_counted = self.target not in _WITHIN_COMMIT or self.is_in_commit
        if threading.current_thread() is not threading.main_thread() or not is_counted:
            return
        self.left -= 1
        if self.left == 0:
            self.reached.touch()
            while not self.go.exists():
                time.sleep(0.01)

    def install(self):
        """Put the gate where it belongs; fails if the engine has no such place any more."""
        wrap(self.target, self.around)
        if self.target in _WITHIN_COMMIT:
            wrap("beampipe.execution.ledger:Ledger.commit_all", self.watch)

    def around(self, function):
        @functools.wraps(function)
        def gated(*args, **kwargs):
            if self.side == "before":
                self.hold()
            value = function(*args, **kwargs)
            if self.side == "after":
                self.hold()
            return value

        return gated

    def watch(self, function):
        @functools.wraps(function)
        def watched(*args, **kwargs):
            self.is_in_commit = True
            try:
                return function(*args, **kwargs)
            finally:
                self.is_in_commit = False

        return watched


def wrap(target, wrapper):
    """Replace a function by a wrapped one."""
    owner, name = find(target)
    setattr(owner, name, wrapper(getattr(owner, name)))


def find(target):
    """What holds a function, and under which name."""
    module, _, path = target.partition(":")
    owner = importlib.import_module(module)
    *owners, name = path.split(".")
    for step in owners:
        owner = getattr(owner, step)
    return owner, name
