"""The user's own, and what is installed."""

import importlib.metadata
import types

import numpy as np
import yaml

from beampipe.execution.identity.packages import (
    describe_packages,
    is_importable,
    is_own,
    is_own_module,
)


def test_installed_modules_are_not_ones_own():
    import json
    import math

    import beampipe

    for module in (np, json, math, beampipe):
        assert not is_own_module(module)
    assert is_own("__main__")
    assert is_own("a module that is not loaded")
    assert is_own_module(types.ModuleType("made_by_hand"))
    assert not is_own("numpy.linalg")


def test_a_module_is_found_under_the_package_that_brings_it():
    parts = describe_packages(["yaml", "json"])
    assert yaml.__name__ == "yaml"
    assert parts["package PyYAML"].shown == importlib.metadata.version("pyyaml")
    assert not any("json" in name for name in parts)


def test_a_module_of_no_package_counts_by_its_files(tmp_path, monkeypatch):
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    found = []
    for text in ("A = 1", "A = 2"):
        (folder / "loose_module.py").write_text(text)
        found.append(describe_packages(["loose_module"])["module loose_module (no version)"])
    assert found[0] != found[1]


def test_a_name_stands_for_what_it_leads_to():
    assert is_importable(np.linalg.norm)
    assert is_importable(dict.fromkeys) is False  # it has no module
    assert not is_importable(lambda x: x)
