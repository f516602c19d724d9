"""What was used last is kept, so that what differs little from chunk to chunk is made once."""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class RecentlyUsed(Generic[Key, Value]):
    """The values used last, by key; for one thread, or for all of them.

    Parameters
    ----------
    size : int
        How many are kept.
    is_shared : bool, default False
        Whether threads may ask at a time; one makes a value, and the others wait for it.
    """

    def __init__(self, size: int, *, is_shared: bool = False) -> None:
        self._size = size
        self._values: OrderedDict[Key, Value] = OrderedDict()
        self._lock = threading.RLock() if is_shared else contextlib.nullcontext()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: Key, make: Callable[[], Value]) -> Value:
        """Give the value of a key, made now or before.

        Parameters
        ----------
        key : hashable
        make : callable
            Makes the value; what it raises is raised here, and nothing is kept.

        Returns
        -------
        Any
            What `make` gave.
        """
        with self._lock:
            if key not in self._values:
                self._values[key] = make()
                if len(self._values) > self._size:
                    self._values.popitem(last=False)
            self._values.move_to_end(key)
            return self._values[key]

    def clear(self) -> None:
        """Keep nothing."""
        with self._lock:
            self._values.clear()
