from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.clusters.stand_ins import install_stand_ins

from beampipe.batch.registry import DIALECTS
from beampipe.clusters import condor_bindings, worker_job
from beampipe.clusters.cluster_folder import ClusterFolder
from beampipe.clusters.site import BATCH_SYSTEMS, Site
from beampipe.clusters.worker_job import describe_job, find_dialect, python_of, with_count
from beampipe.errors import ProviderError

FOLDER = ClusterFolder(Path("/farm/Z → µµ 'x'"))


def job(**values):
    site = Site.model_validate({"batch_system": "slurm", **values})
    return describe_job(site, tag="bp-x-1", folder=FOLDER, scheduler="tls://here:8786")


def test_a_job_is_what_the_site_says():
    found = job(
        cores=4, processes=2, memory="4 GiB", walltime="2 h", queue="long", account="cms",
        directives=["--exclusive"], prologue=["module load x"], variables={"A": "b"},
    )  # fmt: skip
    assert (found.cores, found.memory_bytes, found.walltime_s) == (4, 4 * 2**30, 7200)
    assert (found.queue, found.account, found.directives) == ("long", "cms", ("--exclusive",))
    assert (found.prologue, found.environment) == (("module load x",), {"A": "b"})
    assert found.signal_ahead_s == 60
    argv = found.command
    assert argv[:3] == (sys.executable, "-m", "beampipe.clusters.worker_start")
    assert argv[argv.index("--walltime") + 1] == "7200"
    for option, value in {
        "--nworkers": "2", "--nthreads": "2", "--memory-limit": str(2 * 2**30),
        "--preload": "beampipe.execution.preload", "--preload-nanny": "beampipe.execution.preload",
        "--tls-key": str(FOLDER.key), "--tls-ca-file": str(FOLDER.certificate),
    }.items():  # fmt: skip
        assert argv[argv.index(option) + 1] == value
    assert with_count(found, 7).count == 7


def test_a_short_job_is_not_told_as_soon_as_it_begins():
    assert job(walltime="90 s", lifetime_stagger="10 s").signal_ahead_s is None


def test_keys_are_shared_or_sent_and_never_in_the_text():
    assert job().files == ()
    found = job(batch_system="htcondor", key_files="transfer")
    assert found.files == (FOLDER.certificate, FOLDER.key)
    assert found.command[found.command.index("--tls-key") + 1] == "key.pem"
    assert "--tls-key" not in job(tls=False).command


@pytest.mark.parametrize(
    ("values", "begin"),
    [
        ({"python": "/opt/python"}, ["/opt/python"]),
        ({"venv": "/v µ"}, ["/v µ/bin/python"]),
        ({"apptainer": "/i.sif"}, ["apptainer", "exec", "/i.sif", "python3"]),
        ({"apptainer": "/i.sif", "venv": "/v"}, ["apptainer", "exec", "/i.sif", "/v/bin/python"]),
        (
            {"apptainer": "/i.sif", "work_folder": "/w µ"},
            ["apptainer", "exec", "--bind", "/w µ", "/i.sif", "python3"],
        ),
        (
            {"apptainer": "/i.sif", "conda": "x"},
            ["apptainer", "exec", "/i.sif", "bash", "-c", worker_job._IN_CONDA, "x", "-m"],
        ),
    ],
    ids=str,
)
def test_the_environment_is_started_as_the_site_says(values, begin):
    assert list(job(**values).command[: len(begin)]) == begin


SAY = "import os, sys; print(os.getpid(), os.environ['SAID'], *sys.argv[1:], sep='|')"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"conda": "my env"}, "conda activate my env"),
        ({"conda": "/envs/µ 'x'"}, "conda activate /envs/µ 'x'"),
        ({"pixi": "/pro ject"}, "pixi --shell bash --manifest-path /pro ject/pixi.toml"),
        ({"apptainer": "/i.sif", "python": "python"}, "apptainer /i.sif"),
    ],
    ids=str,
)
def test_the_environments_python_takes_the_jobs_place(values, said, tmp_path, monkeypatch):
    """So that a signal to the job's first process reaches the worker."""
    install_stand_ins(tmp_path / "bin", sys.executable)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    argv = [*python_of(Site.model_validate({"batch_system": "slurm", **values})), "-c", SAY, "a b"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        out, _ = process.communicate(timeout=120)
    pid, told, argument = out.strip().split("|")
    assert (told, argument) == (said, "a b")
    if "apptainer" not in values:  # which stays, and passes signals on
        assert int(pid) == process.pid


def test_an_environment_that_cannot_be_activated_is_an_error(tmp_path, monkeypatch):
    install_stand_ins(tmp_path / "bin", sys.executable)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    argv = [*python_of(Site.model_validate({"batch_system": "slurm", "conda": "none"})), "-c", SAY]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "none" in done.stderr


def test_ports_and_interface_are_passed_on():
    argv = job(
        worker_ports="10000:10070", nanny_ports=9, worker_interface="ib0", local_directory="/t"
    ).command
    assert "--interface" not in job(interface="eth1").command  # that is the scheduler's
    assert argv[argv.index("--worker-port") + 1] == "10000:10070"
    assert argv[argv.index("--nanny-port") + 1] == "9"
    assert argv[argv.index("--interface") + 1] == "ib0"
    assert argv[argv.index("--local-directory") + 1] == "/t"


def test_every_batch_system_of_a_site_is_spoken():
    assert tuple(DIALECTS) == BATCH_SYSTEMS
    for name in BATCH_SYSTEMS:
        assert find_dialect(Site.model_validate({"batch_system": name})).name == name


def test_a_language_that_is_not_spoken_is_an_error(monkeypatch):
    monkeypatch.setattr(condor_bindings, "DIALECTS", {})
    with pytest.raises(ProviderError, match="moab"):
        find_dialect(Site.model_validate({"batch_system": "moab"}))
