"""Every finding, provoked."""

from __future__ import annotations

import shutil
import signal
import sys
import time

import pytest
from tests.environments import grid

from beampipe.batch.registry import DIALECTS
from beampipe.checks import Finding
from beampipe.clusters import batch_queue
from beampipe.clusters.site_files import load_site
from beampipe.clusters.strategies import choose_strategy
from beampipe.datasets.storage_probe import Sample
from beampipe.runs import doctor, doctor_storage
from beampipe.runs.doctor import examine
from beampipe.testing.fake_batch.commands import install_fakes
from beampipe.testing.fake_batch.queue import FakeQueue

QUICK = {"LOOK_EVERY": "1 s", "SUBMIT_EVERY": "1 s", "MEMORY": "400 MiB"}
FACTS = {
    "host": "node7",
    "python": "/usr/bin/python3",
    "cores": 1,
    "memory_bytes": 400 * 2**20,
    "scratch": "/scratch",
    "scratch_bytes": 10**10,
    "ends_at": None,
    "unseen": {},
}


@pytest.fixture(autouse=True)
def _signals_as_before():
    """A cluster takes SIGTERM for its process, which other tests are not to notice."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(autouse=True)
def _no_credentials(tmp_path, monkeypatch):
    """Whatever the computer has, the tests have none that is good."""
    monkeypatch.setattr("beampipe.environments.credential_checks.find_token", lambda _: None)
    monkeypatch.setattr(
        "beampipe.environments.credential_checks.find_proxy", lambda _: tmp_path / "no proxy"
    )
    monkeypatch.delenv("X509_USER_PROXY", raising=False)


@pytest.fixture(autouse=True)
def _a_queue_that_is_known(monkeypatch):
    """The fake commands know nothing of queues; see test_doctor_admission.py."""
    found = [Finding("queue", "ok", "it is up"), Finding("account", "ok", "yours: cms")]
    monkeypatch.setattr(doctor, "examine_admission", lambda _: iter(found))


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Fake commands, with processes of this machine behind them."""
    folder = tmp_path / "fake"
    for name, text in install_fakes(folder, "slurm", DIALECTS["slurm"].commands).items():
        monkeypatch.setenv(name, text)
    for name, text in QUICK.items():
        monkeypatch.setenv(f"BEAMPIPE_SITE_{name}", text)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state µ"))
    return FakeQueue(folder / "queue")


@pytest.fixture
def analysis(tmp_path):
    path = tmp_path / "analysis.py"
    path.write_text("def process(events):\n    return {'n': len(events)}\n")
    return f"{path}:process"


def found_at(site="slurm", **how):
    return {finding.code: finding for finding in examine(site, patience_s=90, **how)}


@pytest.fixture(autouse=True)
def own_state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def statuses(findings):
    return {code: finding.status for code, finding in findings.items()}


def test_a_site_where_all_is_well(slurm, analysis, samples):
    findings = found_at(processor=analysis, fileset=samples)
    assert set(findings) == {
        *("site-profile", "environment", "batch-commands", "queue", "account", "processor"),
        *("fileset", "proxy", "token", "worker", "scheduler-ports", "worker-ports", "versions"),
        *("worker-host", "memory", "scratch", "clock", "walltime", "paths", "imports"),
    }
    assert set(statuses(findings).values()) <= {"ok", "warning"}  # scratch may be short here
    assert findings["paths"].status == findings["imports"].status == "ok"
    assert "minutes left" in findings["walltime"].fact
    # What was found out counts from now on.
    assert "nobody said" in findings["environment"].fact
    assert "a worker saw it" in choose_strategy(load_site("slurm")).why
    with slurm.open() as jobs:
        assert all(job.state == "ended" for job in jobs.values())


def test_an_unknown_site_is_one_finding():
    assert statuses(found_at("slrum")) == {"site-profile": "error"}


def test_an_environment_that_cannot_be_used_is_one_more(monkeypatch):
    monkeypatch.setenv("BEAMPIPE_SITE_ENVIRONMENT", "shared")
    monkeypatch.setenv("BEAMPIPE_SITE_CLIENT_FOLDERS", sys.prefix)
    findings = found_at()
    assert statuses(findings) == {"site-profile": "ok", "environment": "error"}
    assert "environment = 'packed'" in findings["environment"].remedy


def test_without_the_commands_nothing_is_submitted(monkeypatch):
    monkeypatch.setattr(batch_queue.shutil, "which", lambda _: None)
    findings = found_at()
    assert statuses(findings) == {
        "site-profile": "ok", "environment": "ok", "batch-commands": "error", "proxy": "ok",
        "token": "ok", "worker": "warning",
    }  # fmt: skip
    assert "sbatch" in findings["batch-commands"].fact
    assert "not checked" in findings["worker"].fact


def test_a_processor_and_files_that_are_not_there_are_named(slurm, monkeypatch):
    monkeypatch.setattr(doctor, "_examine_worker", lambda *_: iter(()))
    findings = found_at(processor="none.py:process", fileset=["/no/where/a.root"])
    assert statuses(findings) == {
        "site-profile": "ok", "environment": "ok", "batch-commands": "ok", "queue": "ok",
        "account": "ok", "processor": "error", "fileset": "error", "proxy": "ok", "token": "ok",
    }  # fmt: skip
    assert "/no/where/a.root" in findings["fileset"].fact
    sample = Sample(url="root://host//a.root", message="It may not be read.", fix="a proxy")
    monkeypatch.setattr(doctor_storage, "probe_storage", lambda *_, **__: [sample])
    remote = found_at(fileset=["root://host//a.root"])
    assert "1 are behind URLs" in remote["fileset"].fact
    assert remote["storage"].fact == "root://host: It may not be read."
    assert remote["proxy"].status == "warning"
    assert "1 files are behind XRootD" in remote["proxy"].fact
    assert found_at(fileset="*.nothing")["fileset"].status == "error"


def test_a_proxy_that_ends_before_a_job_does_is_named(slurm, monkeypatch, tmp_path):
    made = grid.proxy(grid.user(), "1", oid=grid.RFC, end_h=2)
    path = grid.write(tmp_path / "proxy", made.pem())
    monkeypatch.setattr(doctor, "_examine_worker", lambda *_: iter(()))
    monkeypatch.setattr("beampipe.environments.credential_checks.find_proxy", lambda _: path)
    monkeypatch.setenv("BEAMPIPE_SITE_WALLTIME", "3 h")
    monkeypatch.setattr(doctor_storage, "probe_storage", lambda *_, **__: [])
    finding = found_at(fileset=["root://host//a.root"])["proxy"]
    assert (finding.status, "too early" in finding.fact) == ("error", True)
    assert found_at()["proxy"].status == "warning"  # no file asks for it
    monkeypatch.setenv("BEAMPIPE_SITE_WALLTIME", "1 h")
    assert found_at(fileset=["root://host//a.root"])["proxy"].status == "ok"


def test_files_in_a_folder_that_only_the_client_sees_are_named(slurm, monkeypatch, samples):
    monkeypatch.setattr(doctor, "_examine_worker", lambda *_: iter(()))
    monkeypatch.setenv("BEAMPIPE_SITE_CLIENT_FOLDERS", str(samples))
    monkeypatch.setenv("BEAMPIPE_SITE_SHARED_FOLDERS", "/eos")
    finding = found_at(fileset=samples)["folders"]
    assert finding.status == "error"
    assert "client_folders" in finding.fact
    assert "/eos" in finding.remedy


@pytest.mark.parametrize(
    ("seen", "status", "told"),
    [
        (["/cvmfs", "/eos"], "ok", "sees /cvmfs, /eos"),
        (["/cvmfs"], "error", "does not see /eos"),
        (["/cvmfs", "/eos", "/home"], "ok", "/home is there too"),
    ],
)
def test_what_a_profile_says_of_folders_is_measured(seen, status, told):
    site = load_site("slurm", shared_folders=["/cvmfs", "/eos"], client_folders=["/home"])
    finding = doctor._judge_folders(site, seen)
    assert (finding.status, told in finding.fact) == (status, True)


def test_a_queue_that_refuses_is_told_in_its_words(slurm):
    slurm.change(refuse="Invalid account or account/partition combination")
    finding = found_at()["worker"]
    assert finding.status == "error"
    assert "Invalid account" in finding.fact


def test_a_full_queue_is_told_with_its_reason(slurm):
    slurm.change(cores=0)
    told = []
    findings = {f.code: f for f in examine("slurm", patience_s=4, say=told.append)}
    assert findings["worker"].status == "warning"
    assert "Resources" in findings["worker"].fact
    assert "nothing was checked" in findings["worker"].fact
    assert any("Resources" in text for text in told)


class Client:
    """A client of one worker of which all is known."""

    def __init__(self, facts, error=None):
        self.facts, self.error = facts, error

    def run(self, function, *_):
        if self.error is not None and function is doctor._unpack:
            raise self.error
        return {"tcp://a": {"time": time.time() + self.facts.get("ahead_s", 0)} | self.facts}


@pytest.fixture
def versions(monkeypatch):
    """Versions that differ."""
    mine = {"packages": {"python": "3.11.7", "numpy": "2.1", "hist": "2.10"}}
    other = {"packages": {"python": "3.11.7", "numpy": "1.26", "hist": "2.9"}}
    told = {"client": mine, "scheduler": mine, "workers": {"tcp://a": other}}
    monkeypatch.setattr(doctor, "ask_versions", lambda _: told)


def look(facts=FACTS, *, patient=None, error=None):
    patient = patient or doctor._Patient(load_site("slurm", memory="400 MiB", walltime="1 h"))
    return {f.code: f for f in doctor._look_around(patient, Client(facts, error))}


def test_versions_that_differ(versions):
    texts = [str(f.fact) for f in doctor._compare_versions(Client(FACTS))]
    assert texts == [
        "numpy 2.1 here, 1.26 on 1 workers (as tcp://a)",
        "hist 2.10 here, 2.9 on 1 workers (as tcp://a)",
    ]
    assert [f.status for f in doctor._compare_versions(Client(FACTS))] == ["error", "warning"]


def test_versions_without_an_answer_are_not_checked(monkeypatch):
    def fail(_):
        raise TimeoutError

    monkeypatch.setattr(doctor, "ask_versions", fail)
    assert look()["versions"].status == "warning"


@pytest.mark.parametrize(
    ("change", "code", "status", "words"),
    [
        ({}, "memory", "ok", "may use 0.4 GB"),
        ({"memory_bytes": 10**8}, "memory", "error", "0.1 GB of memory, and 0.4 GB were asked"),
        ({"memory_bytes": None}, "memory", "ok", "no limit"),
        ({"cores": 0}, "cores", "warning", "0 cores, and 1 were asked"),
        ({"scratch_bytes": 10**8}, "scratch", "warning", "0.1 GB are free in /scratch"),
        ({"ahead_s": -3600}, "clock", "warning", "-3"),
        ({"ahead_s": 7200}, "clock", "warning", "+7"),
        ({"time": 1000.0, "ends_at": 1600.0}, "walltime", "ok", "10 minutes left"),
    ],
    ids=str,
)
def test_what_a_worker_measures_is_judged(versions, change, code, status, words):
    finding = look(FACTS | change)[code]
    assert finding.status == status
    assert words in finding.fact
    assert finding.remedy or status == "ok"


def test_files_that_a_worker_does_not_see(versions):
    patient = doctor._Patient(load_site("slurm"), paths=["/a.root", "/b.root"])
    finding = look(FACTS | {"unseen": {"/b.root": "Permission denied"}}, patient=patient)["paths"]
    assert finding.status == "error"
    assert "1 of 2 files: '/b.root': Permission denied" in finding.fact
    assert look(patient=patient)["paths"].status == "ok"


def test_a_processor_that_a_worker_cannot_import(versions, analysis):
    patient = doctor._Patient(load_site("slurm"), processor=doctor.load_processor(analysis))
    error = ModuleNotFoundError("No module named 'correctionlib'")
    finding = look(patient=patient, error=error)["imports"]
    assert finding.status == "error"
    assert "correctionlib" in finding.fact
    assert look(patient=patient)["imports"].status == "ok"


def test_a_job_without_a_way_to_its_scheduler_is_told_at_once(slurm, monkeypatch):
    monkeypatch.setattr("beampipe.clusters.batch_cluster.find_contact", lambda *_: "tls://[::1]:1")
    findings = found_at()
    assert findings["scheduler-ports"].status == "error"
    assert "to ::1 port 1: " in findings["scheduler-ports"].fact
    assert "worker" not in findings


def test_a_worker_that_hears_nothing_is_asked_nothing(slurm, monkeypatch):
    deaf = Finding("worker-ports", "error", "it hears nothing", "open them")
    monkeypatch.setattr(doctor, "find_deaf_worker", lambda *_: deaf)
    findings = [f for f in examine("slurm", patience_s=90) if f.code.startswith("worker")]
    assert [f.status for f in findings] == ["ok", "error", "warning"]
    assert "cannot be asked anything" in findings[-1].fact


def test_here_needs_no_batch_system():
    findings = found_at("local")
    assert "batch-commands" not in findings
    assert findings["worker"].status == "ok"
    assert shutil.disk_usage("/").free > 2e9 or findings["scratch"].status == "warning"
