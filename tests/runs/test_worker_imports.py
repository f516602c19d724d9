import os
import subprocess
import sys


def run(code):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout


def test_nothing_that_is_imported_starts_a_thread():
    """A fork keeps only one thread, and whatever the others held stays locked for ever."""
    said = run("""
import os
import beampipe.runs.worker_imports
tasks = [open(f"/proc/self/task/{task}/comm").read() for task in os.listdir("/proc/self/task")]
print([task for task in tasks if not task.startswith("jemalloc")])
""")
    assert said.count(",") == 0, said


def test_all_of_it_is_there_and_is_not_collected():
    said = run("""
import gc, sys
from beampipe.runs.worker_imports import IMPORTS
print(set(IMPORTS) <= set(sys.modules), gc.isenabled(), gc.get_freeze_count() > 100_000)
""")
    assert said.split() == ["True"] * 3
