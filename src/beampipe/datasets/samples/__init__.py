"""Synthetic but physical data: NanoAOD-like files to try things, and farms, with."""

from __future__ import annotations

from beampipe.datasets.samples.making import find_made_files, make_data
from beampipe.datasets.samples.recipe import COMPRESSIONS, MAX_EXTRA_BRANCHES, Recipe

__all__ = ["COMPRESSIONS", "MAX_EXTRA_BRANCHES", "Recipe", "find_made_files", "make_data"]
