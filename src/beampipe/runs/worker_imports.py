"""All that workers need, imported by importing this: they are forks of a process that did."""

from __future__ import annotations

import gc
import importlib
from contextlib import suppress

from beampipe.collector import paused_collector

IMPORTS = (
    "distributed",
    "hist",
    "uproot",
    "coffea.nanoevents",
    "beampipe.execution.bundles",
    "beampipe.execution.encoding",
    "beampipe.reading.allocator",
    "beampipe.reading.branches",
    "beampipe.reading.events",
    "beampipe.reading.reader",
)

with paused_collector():
    for _name in IMPORTS:
        with suppress(ImportError):  # a worker will say what is missing
            importlib.import_module(_name)
gc.freeze()  # no worker needs to look through any of it, ever
