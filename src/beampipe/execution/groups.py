"""Small groups of files whose results are kept together, so that a later run can take them."""

from __future__ import annotations

from collections.abc import Mapping

from beampipe.datasets.model import Chunk, Plan
from beampipe.execution.pace import Pace

MOST_GROUPS = 128
"""Groups of a run: a dropped or replaced file costs its group in a later run."""

_RUN_BYTES = 48_000_000
"""What one value of every group may weigh in all: large histograms have fewer, larger groups."""
_LEAST_S = 0.2
"""What a group's chunks take at least, if that leaves a run enough groups: a bundle is of one
group, and sending one costs some milliseconds, whatever is in it."""
_ENOUGH_GROUPS = 16

Group = tuple[str, int]
"""A dataset's name and the number of a group in it."""


class FileGroups:
    """Divides the files of each dataset into groups of consecutive ones.

    Parameters
    ----------
    plan : Plan
        What is to be divided.
    pace : Pace, optional
        How long its chunks take; without it groups are not made larger because they are quick.

    Attributes
    ----------
    n_files : int
        Files in one group.
    """

    def __init__(self, plan: Plan, pace: Pace | None = None) -> None:
        self._places: dict[str, Mapping[str, int]] = {
            dataset.name: {file.file.uuid: place for place, file in enumerate(dataset.files)}
            for dataset in plan.datasets
        }
        self._n_all = sum(map(len, self._places.values()))
        self.n_files = max(1, -(-self._n_all // MOST_GROUPS))
        self._pace = pace
        self._chunks_of_file = plan.n_chunks / max(self._n_all, 1)

    def group_of(self, chunk: Chunk) -> Group:
        """The group of a chunk's file."""
        return self.find(chunk.plan.file.dataset, chunk.plan.file.uuid)

    def find(self, dataset: str, uuid: str) -> Group:
        """The group of a file."""
        return (dataset, self._places.get(dataset, {}).get(uuid, 0) // self.n_files)

    def fit(self, value_bytes: int) -> bool:
        """Make groups large enough for values of this size, and for the pace; True if that did.

        They are doubled, so that old groups lie wholly in new ones.
        """
        before = self.n_files
        while self.n_files < self._n_all and (self._is_heavy(value_bytes) or self._is_quick()):
            self.n_files *= 2
        return self.n_files != before

    def _is_heavy(self, value_bytes: int) -> bool:
        return value_bytes * self._n_all > _RUN_BYTES * self.n_files

    def _is_quick(self) -> bool:
        """Whether groups take too little time, and half as many are enough."""
        if self._pace is None or not self._pace.done:
            return False
        if self._n_all < 2 * self.n_files * _ENOUGH_GROUPS:
            return False
        return self.n_files * self._chunks_of_file * self._pace.chunk_s < _LEAST_S
