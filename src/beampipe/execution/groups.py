"""Small groups of files whose results are kept together, so that a later run can take them."""

from __future__ import annotations

from collections.abc import Mapping

from beampipe.datasets.model import Chunk, Plan

MOST_GROUPS = 128
"""Groups of a run: a dropped or replaced file costs its group in a later run."""

_RUN_BYTES = 48_000_000
"""What one value of every group may weigh in all: large histograms have fewer, larger groups."""

Group = tuple[str, int]
"""A dataset's name and the number of a group in it."""


class FileGroups:
    """Divides the files of each dataset into groups of consecutive ones.

    Parameters
    ----------
    plan : Plan
        What is to be divided.

    Attributes
    ----------
    n_files : int
        Files in one group.
    """

    def __init__(self, plan: Plan) -> None:
        self._places: dict[str, Mapping[str, int]] = {
            dataset.name: {file.file.uuid: place for place, file in enumerate(dataset.files)}
            for dataset in plan.datasets
        }
        self._n_all = sum(map(len, self._places.values()))
        self.n_files = max(1, -(-self._n_all // MOST_GROUPS))

    def group_of(self, chunk: Chunk) -> Group:
        """The group of a chunk's file."""
        return self.find(chunk.plan.file.dataset, chunk.plan.file.uuid)

    def find(self, dataset: str, uuid: str) -> Group:
        """The group of a file."""
        return (dataset, self._places.get(dataset, {}).get(uuid, 0) // self.n_files)

    def fit(self, value_bytes: int) -> bool:
        """Make groups large enough for values of this size; True where that changed them.

        They are doubled, so that old groups lie wholly in new ones.
        """
        before = self.n_files
        while self.n_files < self._n_all and value_bytes * self._n_all > _RUN_BYTES * self.n_files:
            self.n_files *= 2
        return self.n_files != before
