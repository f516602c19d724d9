"""Ask again for a file whose storage failed in passing, while files are counted."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from beampipe.datasets.urls import host_of
from beampipe.error_kinds import classify_error
from beampipe.errors import DatasetError

T = TypeVar("T")

WAITS_S = (0.2, 0.8)
HOPELESS_FILES = 3


@dataclass(slots=True)
class SecondTries:
    """A few tries for each file, but not for each of thousands on a server that is not there.

    Attributes
    ----------
    waits_s : tuple of float
        Pause before the second try, the third, ...; half as long up to half as long again [s].
    hopeless_files : int
        After so many files of a host in a row for which all tries failed, each has one.
    sleep : callable
        Waits [s].

    Notes
    -----
    For several threads: what they count together may be off by a few, which does no harm.
    """

    waits_s: tuple[float, ...] = WAITS_S
    hopeless_files: int = HOPELESS_FILES
    sleep: Callable[[float], None] = time.sleep
    _rng: random.Random = field(default_factory=random.Random)
    _failed: Counter[str] = field(default_factory=Counter)

    def ask(self, url: str, question: Callable[[], T]) -> T:
        """Ask about a file until there is an answer, or an error that will stay.

        Parameters
        ----------
        url : str
            The file.
        question : callable
            Gives the answer.

        Returns
        -------
        T

        Raises
        ------
        DatasetError
            Of the last try.
        """
        host = host_of(url)
        waits = list(self.waits_s) if self._failed[host] < self.hopeless_files else []
        while True:
            try:
                answer = question()
            except DatasetError as error:
                if classify_error(error).kind != "transient":
                    raise
                if not waits:
                    self._failed[host] += 1
                    raise
                self.sleep(waits.pop(0) * self._rng.uniform(0.5, 1.5))
            else:
                self._failed[host] = 0
                return answer
