from __future__ import annotations

import pytest

from beampipe.clusters import worker_start
from beampipe.clusters.worker_start import (
    DASK_ENVIRONMENT,
    DEADLINE,
    ENVIRONMENT,
    build_command,
    find_end,
    find_job,
    find_lifetime,
    job_of_worker,
    name_worker,
    parse_arguments,
)
from beampipe.execution import handover
from beampipe.runs import embedded


def test_workers_of_jobs_have_the_settings_of_those_here():
    assert ENVIRONMENT == embedded.ENVIRONMENT
    assert DEADLINE == handover.DEADLINE
    assert set(DASK_ENVIRONMENT.values()) == {"250ms", "False"}


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        ({"SLURM_JOB_ID": "7"}, "7:w"),
        (
            {"SLURM_JOB_ID": "9", "SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "3"},
            "7_3:w",
        ),
        ({"SLURM_JOB_ID": "7", "SLURM_RESTART_COUNT": "2"}, "7:r2"),
        ({"BEAMPIPE_JOB_ID": "12.4"}, "12.4:w"),
        ({"SGE_ROOT": "/sge", "JOB_ID": "7", "SGE_TASK_ID": "undefined"}, "7:w"),
        ({"SGE_ROOT": "/sge", "JOB_ID": "7", "SGE_TASK_ID": "3"}, "7.3:w"),
        ({"PBS_JOBID": "7.server"}, "7.server:w"),
        ({"PBS_JOBID": "7[2].server", "PBS_ARRAYID": "2"}, "7[2].server:w"),
        ({"MOAB_JOBID": "Moab.9", "PBS_JOBID": "7.server"}, "Moab.9:w"),
        ({"LSB_JOBID": "7", "LSB_JOBINDEX": "0"}, "7:w"),
        ({"LSB_JOBID": "7"}, "7:w"),
        ({"LSB_JOBID": "7", "LSB_JOBINDEX": "10"}, "7[10]:w"),
        ({"OAR_JOB_ID": "7", "OAR_ARRAY_ID": "5", "OAR_ARRAY_INDEX": "3"}, "7:w"),
    ],
    ids=str,
)
def test_a_worker_is_named_after_its_job(environment, name):
    job = find_job(environment)
    assert name_worker(job) == name
    assert job_of_worker(name) == job_of_worker(f"{name}-1") == job.job_id


def test_a_job_of_htcondor_is_told_by_its_ad(tmp_path):
    ad = tmp_path / "µ .job.ad"
    ad.write_text("AutoClusterId = 9\nClusterId = 12\nProcId = 4\nNumJobStarts = 0\n")
    assert name_worker(find_job({"_CONDOR_JOB_AD": str(ad)})) == "12.4:w"


def test_htcondor_counts_from_when_it_began_to_send_the_job(tmp_path):
    ad = tmp_path / ".job.ad"
    ad.write_text("JobCurrentStartDate = 90\nAllowedJobDuration = 60\n")
    assert find_end({"_CONDOR_JOB_AD": str(ad)}, 60, now=100.0) == 150.0
    ad.write_text("JobCurrentStartDate = 90\n")
    assert find_end({"_CONDOR_JOB_AD": str(ad)}, 60, now=100.0) == 160.0


def test_a_job_that_cannot_be_told_still_has_a_worker():
    assert find_job({}).job_id.startswith("unknown-")


def test_the_earlier_end_counts():
    assert find_end({}, 0, now=100.0) is None
    assert find_end({}, 60, now=100.0) == 160.0
    assert find_end({"SLURM_JOB_END_TIME": "130"}, 60, now=100.0) == 130.0
    assert find_end({"SLURM_JOB_END_TIME": "x"}, 60, now=100.0) == 160.0
    assert find_end({"OAR_JOB_WALLTIME_SECONDS": "40"}, 60, now=100.0) == 140.0
    assert find_end({"PBS_WALLTIME": "50"}, 0, now=100.0) == 150.0


def test_lifetimes_are_spread_and_end_before_the_job():
    lifetimes = {find_lifetime(3600, 60, f"1_{k}") for k in range(100)}
    assert len(lifetimes) > 90
    assert 3600 - 60 - 60 <= min(lifetimes) < max(lifetimes) <= 3540
    assert 1 <= find_lifetime(60, 600, "1") <= 54


def test_the_command_is_dasks_with_name_lifetime_and_deadline(monkeypatch):
    options = parse_arguments(["--walltime", "3600", "--", "tls://µ:1", "--nthreads", "1"])
    argv, environment = build_command(options, {"SLURM_JOB_ID": "7", "OMP_NUM_THREADS": "4"}, 1e9)
    assert argv[1:6] == ["-m", "distributed.cli.dask_worker", "tls://µ:1", "--nthreads", "1"]
    assert argv[6:] == ["--name", "7:w", "--lifetime", "3540s"]
    assert environment[DEADLINE] == str(round(1e9 + 3600))
    assert environment["OMP_NUM_THREADS"] == "4"
    assert environment["MALLOC_TRIM_THRESHOLD_"] == "1000000000"

    started = []
    monkeypatch.setattr(worker_start.os, "execve", lambda *call: started.append(call))
    monkeypatch.setattr(worker_start.sys, "argv", ["worker_start", "--", "tcp://x:1"])
    worker_start.main()
    assert started[0][1][3] == "tcp://x:1"
    assert "--lifetime" not in started[0][1]
