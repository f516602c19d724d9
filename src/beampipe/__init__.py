"""Beampipe: a physicist's function, from one ROOT file on a laptop to every file on a farm.

>>> import beampipe as bp
>>> result = bp.run("dimuon.py:process", {"DY": "dy/*.root"})  # doctest: +SKIP
>>> result.output["mass"]  # doctest: +SKIP
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from beampipe.errors import BeampipeError

if TYPE_CHECKING:
    from beampipe.clusters.connecting import connect
    from beampipe.clusters.opening import cluster
    from beampipe.datasets.samples import make_data
    from beampipe.environments.inputs import input_path
    from beampipe.results.result import RunResult
    from beampipe.runs.load import load
    from beampipe.runs.reproduce import reproduce
    from beampipe.runs.resume import resume
    from beampipe.runs.run import run
    from beampipe.runs.trial import try_run
    from beampipe.runs.verify import verify

__all__ = [
    "BeampipeError",
    "RunResult",
    "__version__",
    "cluster",
    "connect",
    "input_path",
    "load",
    "make_data",
    "reproduce",
    "resume",
    "run",
    "try_run",
    "verify",
]

# Loaded on first use: `import beampipe` and `beampipe --help` are not to wait for the physics.
_PLACES = {
    "RunResult": "beampipe.results.result:RunResult",
    "cluster": "beampipe.clusters.opening:cluster",
    "connect": "beampipe.clusters.connecting:connect",
    "input_path": "beampipe.environments.inputs:input_path",
    "load": "beampipe.runs.load:load",
    "make_data": "beampipe.datasets.samples:make_data",
    "reproduce": "beampipe.runs.reproduce:reproduce",
    "resume": "beampipe.runs.resume:resume",
    "run": "beampipe.runs.run:run",
    "try_run": "beampipe.runs.trial:try_run",
    "verify": "beampipe.runs.verify:verify",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("beampipe")
    if name in _PLACES:
        module, _, attribute = _PLACES[name].partition(":")
        return getattr(importlib.import_module(module), attribute)
    raise AttributeError(f"module 'beampipe' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
