"""Runs on workers that do not see the user's files: code and declared inputs go to them."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
from distributed import Client, LocalCluster

import beampipe as bp

HIDDEN = 'mount -t tmpfs none "$1" && shift && exec "$@"'


def need_root():
    if os.geteuid() == 0:
        return
    if os.environ.get("CI") == "true":
        pytest.fail("folders are hidden from workers by root")
    pytest.skip("folders are hidden from workers by root")


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "project µ"
    (folder / "cuts").mkdir(parents=True)
    (folder / "cuts" / "__init__.py").write_text("")
    (folder / "cuts" / "met.py").write_text("import offsets\nCUT = 20.0 + offsets.OFFSET\n")
    (folder / "offsets.py").write_text("OFFSET = 5.0\n")
    (folder / "scale.json").write_text("3")
    (folder / "analysis.py").write_text(
        "import json\nimport numpy as np\n"
        "import beampipe as bp\n\n\n"
        "def process(events):\n"
        "    from cuts.met import CUT\n\n"
        "    scale = json.loads(bp.input_path('scale.json').read_text())\n"
        "    return {'n': int(np.sum(events.MET.pt > CUT)) * scale}\n"
    )
    return folder


@pytest.fixture
def blind(project, tmp_path):
    """A client whose worker does not see the project."""
    need_root()
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with (
        LocalCluster(n_workers=0, dashboard_address=":0", silence_logs=50) as cluster,
        Client(cluster) as client,
    ):
        worker = [sys.executable, "-m", "distributed.cli.dask_worker", cluster.scheduler_address]
        worker += ["--nthreads", "1", "--no-dashboard", "--local-directory", str(scratch)]
        hidden = ["unshare", "--mount", "bash", "-c", HIDDEN, "hide", str(project), *worker]
        with subprocess.Popen(hidden, cwd=scratch, stderr=subprocess.DEVNULL) as process:
            client.wait_for_workers(1, timeout=120)
            yield client
            process.terminate()


def run(project, samples, client, run_dir):
    return bp.run(
        f"{project}/analysis.py:process",
        samples,
        client=client,
        inputs=[project / "scale.json"],
        run_dir=run_dir,
        progress=False,
        fresh=True,
    )


def test_modules_and_inputs_reach_a_worker_that_sees_none_of_them(
    project, samples, blind, tmp_path
):
    here = run(project, samples, "inline", tmp_path / "here").output
    there = run(project, samples, blind, tmp_path / "there")
    assert there.output == here
    assert there.is_complete
    assert not [note for note in there.notes if "not declared" in note]
    assert blind.run(lambda: [p for p in sys.path if "beampipe-code" in p]) == {
        address: [] for address in blind.scheduler_info(-1)["workers"]
    }

    # What is changed goes again.
    (project / "offsets.py").write_text("OFFSET = 500.0\n")
    (project / "scale.json").write_text("7")
    for name in ("cuts.met", "cuts", "offsets"):
        sys.modules.pop(name, None)
    time.sleep(0.01)
    changed = run(project, samples, "inline", tmp_path / "here again").output
    assert changed != here
    assert run(project, samples, blind, tmp_path / "there again").output == changed
