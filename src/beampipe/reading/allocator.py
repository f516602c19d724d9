"""Memory that a worker frees is kept for the next chunk instead of going back to the kernel."""

from __future__ import annotations

import ctypes
import platform
from functools import cache

# <malloc.h>
_M_TRIM_THRESHOLD = -1
_M_TOP_PAD = -2
_M_MMAP_THRESHOLD = -3
# The largest values that glibc's `int` takes without turning negative, near enough.
_NEVER_BYTES = 1_000_000_000
_TOP_PAD_BYTES = 64 * 1024 * 1024
# What is larger (histograms of a hundred megabytes, of which there are few) goes back at once: in
# the heap such pieces leave holes that the next ones do not fit into, and a worker has a limit.
_LARGE_BYTES = 64 * 1024 * 1024


@cache
def tune_allocator() -> bool:
    """Make the C library keep freed memory; called once per worker process, on its side.

    Each chunk frees and takes again the same tens of megabytes. By default (more so under Dask's
    nanny, which sets ``MALLOC_TRIM_THRESHOLD_``) every round trip to the kernel costs a page fault
    per 4 KiB: up to half of a worker's time.

    Returns
    -------
    bool
        Whether it took effect; only with glibc.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    settings = {
        _M_MMAP_THRESHOLD: _LARGE_BYTES,
        _M_TRIM_THRESHOLD: _NEVER_BYTES,
        _M_TOP_PAD: _TOP_PAD_BYTES,
    }
    taken = [mallopt(name, value) == 1 for name, value in settings.items()]  # all of them, always
    return all(taken)
