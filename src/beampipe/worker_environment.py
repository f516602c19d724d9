"""What a worker's process is given, wherever it is started: here, or as a job."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

DEADLINE: Final = "BEAMPIPE_DEADLINE"
"""When the job ends [s since 1970]."""
# With Dask's own settings a worker that reads ROOT files spends up to half its time in page
# faults; these keep freed memory in the process (see BENCHMARKS).
MALLOC: Final = MappingProxyType(
    {
        "MALLOC_TRIM_THRESHOLD_": "1000000000",
        "MALLOC_MMAP_THRESHOLD_": "67108864",
        "MALLOC_TOP_PAD_": "67108864",
    }
)
THREADS: Final = (
    *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"),
    *("NUMEXPR_NUM_THREADS", "NUMBA_NUM_THREADS"),
)
"""How many threads each library may use in one worker; these are read when it is loaded."""
# Dask wants one seed for all workers, and this is its own; sets then come in one order.
_HASH_SEED: Final = {"PYTHONHASHSEED": "6640"}

ENVIRONMENT: Final = {**MALLOC, **dict.fromkeys(THREADS, "1"), **_HASH_SEED}
"""A worker has one thread, and every core has a worker."""

# Results must be moved before the end: a tenth of the time to live, 30 s at most.
_MARGIN, _MOST_MARGIN_S = 0.1, 30.0


def find_margin(lifetime_s: float) -> float:
    """How long before the end of its life a worker begins to hand over [s]."""
    return min(_MARGIN * lifetime_s, _MOST_MARGIN_S)
