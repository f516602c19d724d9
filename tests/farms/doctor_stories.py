"""The doctor at a real farm, as its ordinary user calls it; what it found is printed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from storytelling import CONTACT, SYSTEM, reach, tell

import beampipe as bp
from beampipe.clusters.site_files import load_site
from beampipe.runs.doctor_admission import examine_admission

COMMON = {"memory": "400 MiB", "look_every": "1 s", "submit_every": "1 s"}


def call(folder: str, files: tuple[str, ...] = (), **values: str) -> Any:
    """Begin an examination, with values of the site's profile."""
    settings = {**COMMON, "contact_address": CONTACT, **values}
    added = {f"BEAMPIPE_SITE_{name.upper()}": text for name, text in settings.items()}
    state = Path(folder).absolute()
    state.mkdir()
    argv = [sys.executable, "-m", "beampipe", "doctor", "--on", SYSTEM, "--json", "--wait", "100"]
    argv += [word for file in files for word in ("--fileset", file)]
    return subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, **added, "XDG_STATE_HOME": str(state)},
    )  # fmt: skip


def read(process: Any) -> dict[str, Any]:
    """What it found, by code, and its exit code."""
    out, err = process.communicate(timeout=200)
    if not out.startswith("["):
        raise RuntimeError(f"{out}{err}")
    found = {each["code"]: f"{each['status']}: {each['fact']}" for each in json.loads(out)}
    return {**found, "exit": process.returncode}


def firewalls() -> dict[str, Any]:
    """Four examinations at a time, of profiles that a firewall likes more or less."""
    bp.make_data("data", files=1, events=50)
    told = reach_with("begin")
    urls = tuple(told["urls"])
    fine = call("fine", ("data", *urls), queue="batch", walltime="30 min")
    half = call("half", scheduler_ports=told["half_to_here"], worker_ports=told["half_to_there"])
    none = call("none", scheduler_ports=told["closed_to_here"])
    deaf = call("deaf", worker_ports=told["closed_to_there"])
    return {"fine": read(fine), "half": read(half), "none": read(none), "deaf": read(deaf)}


def reach_with(point: str) -> Any:
    """Reach a point; what the test has left there."""
    reach(point)
    return json.loads(Path("told.json").read_text())


def admission() -> list[str]:
    """What the batch system says of queue, account and limits."""
    found = examine_admission(load_site(SYSTEM))
    return [f"{each.code} {each.status}: {each.fact}" for each in found]


if __name__ == "__main__":
    tell(firewalls, admission)
