from __future__ import annotations

import platform
import resource
import subprocess
import sys

import pytest

from beampipe.reading import allocator
from beampipe.reading.allocator import tune_allocator

PROGRAM = """
import resource, sys
import numpy as np
if sys.argv[1] == "tuned":
    from beampipe.reading.allocator import tune_allocator
    assert tune_allocator()
    assert tune_allocator()
np.ones(4_000_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    np.ones(4_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""

needs_glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has it")


def count_page_faults(mode: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, mode], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@needs_glibc
def test_freed_memory_is_used_again_without_page_faults():
    as_it_comes, tuned = count_page_faults("untuned"), count_page_faults("tuned")
    pages = 20 * 32_000_000 // resource.getpagesize()
    assert tuned < pages // 20
    # transparent huge pages may have made the untuned case cheap as well
    assert tuned <= as_it_comes


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(allocator.platform, "libc_ver", lambda: ("", ""))
    tune_allocator.cache_clear()
    assert tune_allocator() is False
    tune_allocator.cache_clear()
