"""Where things are."""

import os
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
BENCH = PROJECT / "build" / "bench"
QUERIES = PROJECT / "benchmarks" / "queries"
EXAMPLES = PROJECT / "examples"
ROOT_ENVIRONMENT = BENCH / "root"


def environment():
    """Variables for a contestant: its workers import the queries by name, and share no caches."""
    places = [str(place) for place in (PROJECT, QUERIES, EXAMPLES)]
    return os.environ | {
        "PYTHONPATH": os.pathsep.join([*places, os.environ.get("PYTHONPATH", "")]),
        "XDG_CACHE_HOME": str(BENCH / "cache"),
        "XDG_CONFIG_HOME": str(BENCH / "no-config"),
        "PYTHONWARNINGS": "ignore",
    }


def prepare_imports():
    """The same for this process."""
    sys.path[:0] = [str(QUERIES), str(EXAMPLES)]
