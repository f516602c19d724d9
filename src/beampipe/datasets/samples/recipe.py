"""What a sample is made of, checked before anything is written."""

from __future__ import annotations

import difflib
import json
from dataclasses import asdict, dataclass

from beampipe.errors import SampleError

COMPRESSIONS = ("none", "zlib", "zstd", "lz4", "lzma")
MAX_EXTRA_BRANCHES = 2_500
MAX_FILES = 100_000
VERSION = 1
"""Goes up whenever the same recipe would give other columns."""

EVENTS_PER_CLUSTER = 50_000


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that the columns of a sample's files depend on.

    Attributes
    ----------
    events : int
        Events in each file.
    extra_branches : int
        Further branches in each file, at most 2,500.
    compression : str
        One of ``none``, ``zlib``, ``zstd``, ``lz4``, ``lzma``.
    rntuple : bool
        RNTuple instead of TTree.
    seed : int
        Another seed gives other events.
    cluster_events : int
        Events in each cluster (a TTree's baskets end there too).

    Raises
    ------
    SampleError
        ``dataset-sample``: a number or a name that makes no sense.
    """

    events: int = 10_000
    extra_branches: int = 0
    compression: str = "zlib"
    rntuple: bool = False
    seed: int = 1
    cluster_events: int = EVENTS_PER_CLUSTER

    def __post_init__(self) -> None:
        check_whole("events", self.events, 0, 10**9)
        check_whole("extra_branches", self.extra_branches, 0, MAX_EXTRA_BRANCHES)
        check_whole("seed", self.seed, 0, 2**63 - 1)
        check_whole("cluster_events", self.cluster_events, 1, 10**7)
        if self.compression not in COMPRESSIONS:
            close = difflib.get_close_matches(str(self.compression).lower(), COMPRESSIONS, n=1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            raise SampleError(
                f"There is no compression {self.compression!r}.",
                fix=f"{hint}It is one of {', '.join(COMPRESSIONS)}.",
            )

    def sign(self, index: int) -> str:
        """Write down what file `index` is made of: equal signatures, equal columns."""
        return json.dumps({"version": VERSION, "file": index, **asdict(self)}, sort_keys=True)


def check_whole(name: str, value: object, low: int, high: int) -> None:
    """Refuse what is not a whole number from `low` to `high`."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise SampleError(
            f"Cannot make a sample with {name} = {value!r}.",
            fix=f"give a whole number from {low:,} to {high:,}",
        )
