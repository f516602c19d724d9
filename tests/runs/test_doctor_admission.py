from __future__ import annotations

import pytest

from beampipe.clusters.site_files import load_site
from beampipe.runs.doctor_admission import examine_admission


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Commands of a batch system that print what they are to, alone on PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))

    def make(name, text, code=0):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\n/bin/cat <<'END'\n{text}\nEND\nexit {code}\n")
        program.chmod(0o755)

    return make


def test_the_batch_system_is_asked(command):
    command("scontrol", "PartitionName=long Default=NO MaxTime=UNLIMITED State=UP")
    command("sacctmgr", "cms|x||normal|||||||")
    found = list(examine_admission(load_site("slurm", queue="lnog", account="cms")))
    assert [(f.code, f.status) for f in found] == [("queue", "error"), ("account", "ok")]
    assert "did you mean 'long'" in found[0].remedy


def test_what_could_not_be_asked_is_said(command):
    command("scontrol", "slurm_load_partitions: Unable to contact slurm controller", 1)
    queue, account = examine_admission(load_site("slurm"))
    assert queue.fact.startswith("not checked: `scontrol show partition` says: slurm_load")
    assert account.fact == "not checked: 'sacctmgr' is not on PATH"
    (moab,) = examine_admission(load_site("slurm", batch_system="moab"))
    assert moab.fact == "not checked: no question to moab is known"


def test_a_command_that_hangs_is_given_up(command, monkeypatch, tmp_path):
    monkeypatch.setattr("beampipe.batch.admission_questions._PATIENCE_S", 0.2)
    command("scontrol", "")
    (tmp_path / "scontrol").write_text("#!/bin/sh\nexec /bin/sleep 60\n")
    assert "gave no answer" in next(iter(examine_admission(load_site("slurm")))).fact
