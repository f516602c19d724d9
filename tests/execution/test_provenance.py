import getpass
import importlib.metadata
import json
import os
import platform
import sys

import pytest

from beampipe.datasets.plan_format import plan_digest
from beampipe.execution.processors import load_processor
from beampipe.execution.provenance import PACKAGES, collect_provenance, collect_versions


def process(events, url="", cut=1):
    return {"n": len(events) * cut, url: 0}


def test_versions_are_those_that_are_installed(monkeypatch):
    versions = collect_versions()
    assert versions["python"] == platform.python_version()
    assert set(PACKAGES) <= versions.keys()
    assert versions["uproot"] == importlib.metadata.version("uproot")

    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    assert collect_versions().keys() == {"python"}


def test_everything_a_reader_may_want_to_know(make_plan, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["beampipe", "run", "root://me:hunter2@host//a?token=abc"])
    plan = make_plan()
    params = {"cut": 2, "url": "https://me:hunter2@host/x?key=abc"}
    found = collect_provenance(
        load_processor(process, params), plan, schema="NanoAODSchema", options={"µ": 1}
    )
    assert found["plan_sha256"] == plan_digest(plan)
    assert found["processor"] == "process"
    assert found["processor_file"] == __file__
    assert found["source"].startswith("def process(")
    assert len(found["source_sha256"]) == 64
    assert found["params"]["cut"] == "2"
    assert found["schema"] == "NanoAODSchema"
    assert found["chunksize"] == 25
    assert found["options"] == {"µ": 1}
    assert found["argv"][0] == "run"
    text = json.dumps(found)
    assert "hunter2" not in text
    assert "abc" not in text.replace(found["source_sha256"], "").replace(found["plan_sha256"], "")


@pytest.mark.parametrize("error", [KeyError("uid"), OSError("no passwd")])
def test_a_user_without_a_name_is_a_number(make_plan, monkeypatch, error):
    def fail():
        raise error

    monkeypatch.setattr(getpass, "getuser", fail)
    found = collect_provenance(load_processor(process), make_plan(), schema="", options={})
    assert found["user"] == str(os.getuid())
