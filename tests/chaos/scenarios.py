"""The table of scenarios: each is a function that is given a stage, and says what came of it."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass

from tests.chaos.stage import ALL


@dataclass(frozen=True)
class Scenario:
    """One kind of mishap.

    Attributes
    ----------
    name : str
    what : str
        What is done, for the table.
    kinds : tuple of str
        The clusters on which it is played, in turn.
    play : callable
        Takes a `Stage`, gives a `Checked`, or raises AssertionError.
    is_main : bool
        Whether a long campaign plays it a hundred times, and not just a few.
    """

    name: str
    what: str
    kinds: tuple[str, ...]
    play: Callable
    is_main: bool = False


SCENARIOS: dict[str, Scenario] = {}
_MODULES = ("deaths", "drivers", "chunks", "files", "caches", "surroundings")


class NotYetError(Exception):
    """The engine cannot do this yet, so there is nothing to be shown."""


def scenario(name, *, kinds=ALL, is_main=False):
    """Put a function into the table; its docstring says what is done."""

    def put(function):
        what = " ".join(function.__doc__.split("\n\n")[0].split()).rstrip(".")
        SCENARIOS[name] = Scenario(name, what, kinds, function, is_main)
        return function

    return put


def all_scenarios():
    """The whole table, in the order of the modules."""
    for module in _MODULES:
        importlib.import_module(f"tests.chaos.{module}")
    return SCENARIOS
