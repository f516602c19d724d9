"""Clusters on a real HTCondor that is asked through its Python bindings."""

from __future__ import annotations

import contextlib
import shutil
import uuid
from dataclasses import replace

import pytest
from tests.farms.telling import Telling


def _write_program(path, line):
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)


@pytest.fixture
def bindings_farm(htcondor_farm):
    """The same pool, where whoever submits by the command does not get far."""
    farm = htcondor_farm
    folder = farm.folder / f"no-commands-{uuid.uuid4().hex[:8]}"
    folder.mkdir()
    for name in ("condor_submit", "condor_q", "condor_rm", "condor_history"):
        _write_program(folder / name, "echo 'not by this command' >&2\nexit 1")
        # What a story does behind the cluster's back is done by commands of another name.
        real = shutil.which(name, path=farm.environment["PATH"])
        _write_program(folder / f"real_{name}", f'exec "{real}" "$@"')
    return replace(
        farm,
        environment=farm.environment
        | {
            "PATH": f"{folder}:{farm.environment['PATH']}",
            "BEAMPIPE_SITE_USE_BINDINGS": "true",
            "STORIES_COMMANDS": "real_",
        },
    )


def test_stories_of_clusters_end_alike_without_a_command(bindings_farm):
    with contextlib.ExitStack() as stack:
        told = {
            name: stack.enter_context(Telling(bindings_farm, name))
            for name in (
                "cluster_stories:killed", "cluster_stories:refused", "cluster_stories:broken",
                "cluster_stories:scale_down", "trouble_stories:held",
            )
        }  # fmt: skip
        found = {name.partition(":")[2]: each.end() for name, each in told.items()}
    assert found["killed"] == {"total": -45, "victim": "lost"}
    assert "not by this command" not in found["refused"]["why"]
    assert found["refused"]["why"]
    assert "no such module" in found["broken"]["why"]
    assert found["scale_down"] == {"total": 780, "computed": 40}
    assert found["held"]["victim"] == "lost"
    assert found["held"]["reason"].startswith("held: ")
