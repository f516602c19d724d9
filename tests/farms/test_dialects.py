"""The dialects against real batch systems."""

from __future__ import annotations

import os
import pwd
import sys
import uuid

import pytest
from tests.farms.farm import Farm
from tests.testing.job_identity import Conformance

from beampipe.batch.htcondor_bindings import HTCondorBindings
from beampipe.batch.registry import DIALECTS
from beampipe.testing.batch_conformance import Answer, BatchFarm


def on(farm: Farm, dialect=None, **more) -> BatchFarm:
    def run(command):
        done = farm.run(*command.argv, stdin=command.stdin)
        return Answer(done.stdout, done.stderr, done.returncode)

    folder = farm.shared / f"t {uuid.uuid4().hex[:8]}"
    folder.mkdir()
    user = pwd.getpwnam(farm.user)
    os.chown(folder, user.pw_uid, user.pw_gid)
    return BatchFarm(dialect or DIALECTS[farm.system], run, folder=folder, user=farm.user, **more)


class TestSlurm(Conformance):
    @pytest.fixture
    def farm(self, slurm_farm):
        return on(
            slurm_farm,
            held={"directives": ("--hold",)},
            refused={"queue": "no-such-queue"},
            shortest_walltime_s=60,
        )


class TestHTCondor(Conformance):
    @pytest.fixture
    def farm(self, htcondor_farm):
        return on(
            htcondor_farm,
            held={"directives": ("hold = True",)},
            refused={"directives": ("this is no submit description",)},
            shortest_walltime_s=5,
        )


class TestHTCondorBindings(Conformance):
    @pytest.fixture
    def farm(self, htcondor_farm):
        return on(
            htcondor_farm,
            HTCondorBindings(python=sys.executable),
            held={"directives": ("hold = True",)},
            refused={"directives": ("this is no submit description",)},
            shortest_walltime_s=5,
        )


class TestGridEngine(Conformance):
    @pytest.fixture
    def farm(self, sge_farm):
        return on(
            sge_farm,
            held={"directives": ("-h",)},
            refused={"queue": "no-such-queue"},
            shortest_walltime_s=5,
            tells_reasons=False,
            tells_cancels=False,
        )


class TestOAR(Conformance):
    @pytest.fixture
    def farm(self, oar_farm):
        return on(
            oar_farm,
            held={"directives": ("--hold",)},
            refused={"queue": "no-such-queue"},
            shortest_walltime_s=5,
            first_signal="",
        )
