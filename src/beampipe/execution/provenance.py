"""Where a result comes from: versions, code, plan, parameters."""

from __future__ import annotations

import getpass
import importlib.metadata
import os
import platform
import socket
import sys
from collections.abc import Mapping
from typing import Any

from beampipe.datasets.model import Plan
from beampipe.datasets.plan_format import plan_digest
from beampipe.datasets.urls import hide_secrets
from beampipe.execution.processors import Processor

PACKAGES = (
    "beampipe",
    "dask",
    "distributed",
    "uproot",
    "awkward",
    "coffea",
    "hist",
    "boost-histogram",
    "numpy",
    "numba",
    "cloudpickle",
)


def collect_versions() -> dict[str, str]:
    """Versions of Python and of the packages that compute."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def collect_provenance(
    processor: Processor, plan: Plan, *, schema: str, options: Mapping[str, Any]
) -> dict[str, Any]:
    """Everything that a reader of the result may want to know of its making."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container without a passwd entry
        user = str(os.getuid())
    return {
        "versions": collect_versions(),
        "processor": processor.name,
        "processor_file": processor.origin,
        "source": processor.source,
        "source_sha256": processor.source_sha256,
        "plan_sha256": plan_digest(plan),
        "params": {name: hide_secrets(repr(value)) for name, value in processor.params.items()},
        "schema": schema,
        "chunksize": plan.chunksize,
        "options": dict(options),
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "user": user,
        "argv": [hide_secrets(word) for word in sys.argv[1:]],
    }
