"""Which instructions of this processor NumPy computes with: equal ones give equal bits."""

from __future__ import annotations

import functools
import hashlib
import platform

import numpy as np


@functools.cache
def name_instructions() -> str:
    """Name the set of instructions; two processors with the same name compute the same bits.

    Returns
    -------
    str
        The architecture and a short digest of the features that NumPy found and uses.
    """
    core = getattr(np, "_core", None)
    found = getattr(getattr(core, "_multiarray_umath", None), "__cpu_features__", {})
    features = ",".join(sorted(name for name, is_there in found.items() if is_there))
    return f"{platform.machine()}-{hashlib.sha256(features.encode()).hexdigest()[:8]}"
