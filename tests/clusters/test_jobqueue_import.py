from __future__ import annotations

import pytest

from beampipe.clusters.jobqueue_import import import_jobqueue
from beampipe.clusters.site_files import load_site
from beampipe.errors import SiteInvalidError

CONFIGURATION = """
jobqueue:
  slurm:
    name: dask-worker
    cores: 4
    memory: '16 GB'
    processes: 2
    queue: "long µ"
    account: cms
    walltime: '01:30:00'
    interface: ib0
    job-script-prologue: ["module load python"]
    job_extra_directives: ["--constraint=el9"]
    worker-extra-args: ["--worker-port", "10000:10070"]
    scheduler-options: {port: 8786}
    log-directory: /logs
  lpccondor:
    cores: 1
    memory: 2GB
    job-extra: {+Image: '"x"'}
    worker-extra-args: ["--resources GPU=1"]
  lsf:
    cores: 1
    walltime: '00:30'
  oar:
    cores: null
"""


@pytest.fixture
def made(tmp_path, folders):
    path = tmp_path / "jobqueue.yaml"
    path.write_text(CONFIGURATION)
    found = {entry.name: entry for entry in import_jobqueue(path)}
    for entry in found.values():
        (folders["user"] / f"my-{entry.name}.toml").write_text(entry.text)
    return found


def test_a_configuration_becomes_profiles(made):
    assert set(made) == {"slurm", "lpccondor", "lsf"}
    site = load_site("my-slurm")
    assert site.batch_system == "slurm"
    assert (site.cores, site.processes, site.memory) == (4, 2, 16_000_000_000)
    assert (site.queue, site.account, site.walltime) == ("long µ", "cms", 5400.0)
    assert (site.interface, site.worker_interface) == ("ib0", "ib0")
    assert site.prologue == ("module load python",)
    assert site.directives == ("--constraint=el9",)
    assert (site.worker_ports, site.scheduler_ports) == ((10000, 10070), (8786, 8786))
    assert load_site("my-lpccondor").directives == ('+Image = "x"',)


def test_what_cannot_be_taken_over_is_named(made):
    assert made["slurm"].left_out == ("log-directory: /logs",)
    assert "# not taken over: log-directory: /logs" in made["slurm"].text
    assert made["lpccondor"].left_out == ("worker-extra-args: ['--resources GPU=1']",)
    assert made["lsf"].left_out == ("walltime: 00:30",)


@pytest.mark.parametrize("text", ["", "a: [", "dask: {}", "jobqueue: 3"])
def test_what_is_no_configuration_is_refused(tmp_path, text):
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(SiteInvalidError, match=r"x\.yaml"):
        import_jobqueue(path)
