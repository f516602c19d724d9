"""The conformance suite, and that a worker in a job calls itself what the queue calls the job."""

from __future__ import annotations

import sys
import time

from beampipe.testing.batch_conformance import PATIENCE_S, BatchConformance, BatchFarm

_SAY_ID = """
import os
from beampipe.clusters.worker_start import find_job
print(find_job(os.environ).job_id, flush=True)
"""


class Conformance(BatchConformance):
    def test_a_worker_knows_its_job_by_the_id_that_the_queue_has(self, farm: BatchFarm, submit):
        count = min(2, farm.dialect.largest_array)
        job = farm.describe(sys.executable, "-c", _SAY_ID, count=count)
        for job_id in submit(job):
            log = farm.dialect.logs(job, job_id).out
            give_up = time.monotonic() + PATIENCE_S
            while not (log.exists() and log.read_text().endswith("\n")):
                assert time.monotonic() < give_up, farm.status(job.tag)
                time.sleep(0.1)
            assert log.read_text() == f"{job_id}\n"
