"""The way through everything that a processor refers to.

Functions, classes and values that have a name become parts of their own, and are referred to by
that name from then on, so that circles end and a difference can be named.
"""

from __future__ import annotations

import contextlib
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from beampipe.datasets.urls import hide_secrets
from beampipe.execution.identity.model import Part, UnhashableError, combine

_SHOWN = 60
_SECRET = ("token", "secret", "password", "passwd", "credential", "key")

Describe = Callable[["Walk", Any], bytes]


@dataclass(slots=True)
class Walk:
    """What was found so far.

    Attributes
    ----------
    describe : callable
        Gives the digest of any value; `value` is what callers use.
    main : str
        The module of the processor; names from it are not prefixed, so that its file may be
        renamed.
    packages : set of str
        Installed top-level modules that were met.
    """

    describe: Describe
    main: str = ""
    parts: dict[str, Part] = field(default_factory=dict)
    unhashable: dict[str, str] = field(default_factory=dict)
    packages: set[str] = field(default_factory=set)
    _names: dict[int, str] = field(default_factory=dict)
    _above: list[int] = field(default_factory=list)
    _kept: list[Any] = field(default_factory=list)

    def qualified(self, module: str | None, name: str) -> str:
        """A name with its module, but for the processor's own."""
        if not module or module == self.main:
            return name
        return f"{module}.{name}"

    def unit(self, value: Any, name: str, make: Callable[[], bytes]) -> bytes:
        """Make a part of an object, once; gives what stands for it elsewhere."""
        known = self._names.get(id(value))
        if known is None:
            known = self._names[id(value)] = self._free(name)
            self._kept.append(value)  # an id is good as long as its object lives
            self._add(known, make)
        return combine("unit", known.encode())

    def named(self, owner: Any, key: str, name: str, value: Any) -> bytes:
        """Make a part of a value that has a name in a module, a class or a function.

        Parameters
        ----------
        owner : Any
            Whose name it is: the same one of the same owner is one part.
        key : str
            The name within the owner.
        name : str
            The part's.
        value : Any
            The value.
        """
        place = hash((id(owner), key))
        known = self._names.get(place)
        if known is None:
            known = self._names[place] = self._free(name)
            self._kept.append(owner)
            self._add(known, lambda: self.value(value), show_value(key, value))
        return combine("named", known.encode())

    def _free(self, name: str) -> str:
        used, free, number = self.parts.keys() | self.unhashable.keys(), name, 1
        while free in used:
            number += 1
            free = f"{name} #{number}"
        self.parts[free] = Part("")  # taken
        return free

    def _add(self, name: str, make: Callable[[], bytes], shown: str = "") -> None:
        above, self._above = self._above, []
        try:
            self.parts[name] = Part(make().hex(), shown)
        except UnhashableError as error:
            del self.parts[name]
            self.unhashable[name] = str(error)
        except RecursionError:
            del self.parts[name]
            self.unhashable[name] = "it is nested too deeply"
        finally:
            self._above = above

    def value(self, value: Any) -> bytes:
        """Digest a value.

        Raises
        ------
        UnhashableError
            It has no form that is the same in every process.
        """
        return self.describe(self, value)

    @contextlib.contextmanager
    def inside(self, value: Any) -> Iterator[bytes | None]:
        """Go into a container; gives what stands for it if we are inside it already."""
        if id(value) in self._above:
            yield combine("circle", str(self._above.index(id(value))).encode())
            return
        self._above.append(id(value))
        try:
            yield None
        finally:
            self._above.pop()

    def apart(self, value: Any) -> bytes:
        """Digest a value by itself, whatever was met before: for what comes in no order."""
        alone = Walk(self.describe, self.main)
        digest = alone.value(value)
        self.packages |= alone.packages
        if alone.unhashable:
            name, why = next(iter(alone.unhashable.items()))
            raise UnhashableError(f"{name}: {why}")
        pairs = sorted((name, part.digest) for name, part in alone.parts.items())
        return combine("apart", digest, *(word.encode() for pair in pairs for word in pair))


def show_value(name: str, value: Any) -> str:
    """A short value as text; empty for what is long, not plain, or may be a secret."""
    if any(word in name.lower() for word in _SECRET) or not _is_plain(value):
        return ""
    text = hide_secrets(repr(value))
    return text if len(text) <= _SHOWN else ""


def _is_plain(value: Any) -> bool:
    if isinstance(value, (tuple, list)):
        return len(value) <= _SHOWN and all(map(_is_plain, value))
    return value is None or type(value) in {bool, int, float, str, types.EllipsisType}
