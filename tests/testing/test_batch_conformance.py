"""The conformance suite against fake commands; tests/farms has it against real ones."""

from __future__ import annotations

import getpass
import os
import subprocess

import pytest
from tests.testing.job_identity import Conformance

from beampipe.batch.registry import DIALECTS
from beampipe.testing.batch_conformance import Answer, BatchFarm
from beampipe.testing.fake_batch.commands import install_fakes
from beampipe.testing.fake_batch.htcondor import COMMANDS as HTCONDOR_COMMANDS
from beampipe.testing.fake_batch.lsf import COMMANDS as LSF_COMMANDS
from beampipe.testing.fake_batch.moab import COMMANDS as MOAB_COMMANDS
from beampipe.testing.fake_batch.oar import COMMANDS as OAR_COMMANDS
from beampipe.testing.fake_batch.pbs import COMMANDS as PBS_COMMANDS
from beampipe.testing.fake_batch.sge import COMMANDS as SGE_COMMANDS
from beampipe.testing.fake_batch.slurm import COMMANDS as SLURM_COMMANDS
from beampipe.testing.fake_batch.torque import COMMANDS as TORQUE_COMMANDS


def pretend(folder, system, commands, **more) -> BatchFarm:
    env = os.environ | install_fakes(folder / "fa ke", system, tuple(commands))

    def run(command):
        done = subprocess.run(
            command.argv, input=command.stdin, capture_output=True, text=True, check=False,
            timeout=120, env=env,
        )  # fmt: skip
        return Answer(done.stdout, done.stderr, done.returncode)

    own = folder / "ow n"
    own.mkdir()
    return BatchFarm(DIALECTS[system], run, folder=own, user=getpass.getuser(), **more)


class TestSlurm(Conformance):
    @pytest.fixture
    def farm(self, tmp_path):
        return pretend(
            tmp_path, "slurm", SLURM_COMMANDS,
            held={"directives": ("--hold",)},
            refused={"queue": "no-such-queue"},
            shortest_walltime_s=1,
        )  # fmt: skip


class TestHTCondor(Conformance):
    @pytest.fixture
    def farm(self, tmp_path):
        return pretend(
            tmp_path, "htcondor", HTCONDOR_COMMANDS,
            held={"directives": ("hold = True",)},
            refused={"directives": ("this is no submit description",)},
            shortest_walltime_s=1,
        )  # fmt: skip


class TestGridEngine(Conformance):
    @pytest.fixture
    def farm(self, tmp_path):
        return pretend(
            tmp_path, "sge", SGE_COMMANDS,
            held={"directives": ("-h",)},
            refused={"queue": "no-such-queue"},
            shortest_walltime_s=1,
            tells_reasons=False,
            tells_cancels=False,
        )  # fmt: skip


class TestPBS(Conformance):
    @pytest.fixture
    def farm(self, tmp_path):
        return pretend(
            tmp_path, "pbs", PBS_COMMANDS,
            held={"directives": ("-h",)},
            refused={"queue": "no-such-queue"},
            shortest_walltime_s=1,
        )  # fmt: skip


class TestTorque(Conformance):
    @pytest.fixture
    def farm(self, tmp_path):
        return pretend(
            tmp_path, "torque", TORQUE_COMMANDS,
            held={"directives": ("-h",)},
            refused={"queue": "no-such-queue"},
            shortest_walltime_s=1,
        )  # fmt: skip


class TestLSF(Conformance):
    @pytest.fixture
    def farm(self, tmp_path):
        return pretend(
            tmp_path, "lsf", LSF_COMMANDS,
            held={"directives": ("-H",)},
            refused={"queue": "no-such-queue"},
            first_signal="INT",
        )  # fmt: skip


class TestOAR(Conformance):
    @pytest.fixture
    def farm(self, tmp_path):
        return pretend(
            tmp_path, "oar", OAR_COMMANDS,
            held={"directives": ("--hold",)},
            refused={"queue": "no-such-queue"},
            shortest_walltime_s=1,
            first_signal="",
        )  # fmt: skip


class TestMoab(Conformance):
    @pytest.fixture
    def farm(self, tmp_path):
        return pretend(
            tmp_path, "moab", MOAB_COMMANDS,
            held={"directives": ("-h",)},
            refused={"queue": "no-such-queue"},
            shortest_walltime_s=1,
        )  # fmt: skip
