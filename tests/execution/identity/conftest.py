"""Processors written to files, as users have them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap

import pytest

from beampipe.execution.identity import identify
from beampipe.execution.processors import load_processor

PROGRAM = """
import json, sys
from beampipe.execution.identity import identify
from beampipe.execution.processors import load_processor
found = identify(load_processor(sys.argv[1]), schema="NanoAODSchema", metadata={})
print(json.dumps(found.to_json()))
"""


@pytest.fixture
def write(tmp_path):
    """Write modules into a folder: ``write(analysis=text, helper=text)``."""

    def write(folder="here", **modules):
        place = tmp_path / folder
        place.mkdir(exist_ok=True)
        for name, text in modules.items():
            (place / f"{name}.py").write_text(textwrap.dedent(text))
        return place

    return write


@pytest.fixture
def identity_of(monkeypatch, tmp_path_factory):
    """The identity of what a file holds now; neighbouring modules are imported anew."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    base = str(tmp_path_factory.getbasetemp())

    def identity_of(folder, name="analysis.py:process", params=None, **options):
        for known, module in list(sys.modules.items()):
            if str(getattr(module, "__file__", None) or "").startswith(base):
                del sys.modules[known]
        path = list(sys.path)
        try:
            processor = load_processor(f"{folder}/{name}", params)
            return identify(processor, **{"schema": "NanoAODSchema", "metadata": {}} | options)
        finally:
            sys.path[:] = path

    return identity_of


@pytest.fixture
def identity_elsewhere():
    """The identity that another process finds, with another hash seed."""

    def identity_elsewhere(folder, name="analysis.py:process", *, seed):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, f"{folder}/{name}"],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
        )
        return json.loads(done.stdout)

    return identity_elsewhere
