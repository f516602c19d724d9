import importlib.util
import json
import site
import sys
import types
from pathlib import Path

import numpy as np
import pytest

import beampipe
from beampipe.environments.own_code import is_installed, is_own_module, users_code_importable


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Load a module from a file that is made now."""

    def load(place, name="module_of_mine_7"):
        path = tmp_path / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
        spec = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        return module

    return load


def test_a_file_of_the_user_is_own(load):
    assert is_own_module(load("Z → µµ 'x'/cuts.py"))
    assert is_own_module(load("lib/python3.11-mine/cuts.py"))


@pytest.mark.parametrize("folder", ["site-packages", "dist-packages"])
def test_an_environment_on_pythonpath_is_installed(load, folder):
    assert not is_own_module(load(f"cvmfs/view/lib/python3.11/{folder}/cuts.py"))


@pytest.mark.parametrize("module", [json, np, np.linalg, beampipe, sys, importlib, pytest])
def test_python_packages_and_beampipe_are_not_own(module):
    assert not is_own_module(module)


def test_what_cannot_be_imported_by_its_name_is_not_own(load, monkeypatch):
    module = load("cuts.py")
    monkeypatch.delitem(sys.modules, module.__name__)
    assert not is_own_module(module)
    assert not is_own_module(types.ModuleType("made_up"))
    assert not is_own_module(sys.modules["__main__"])


def test_paths():
    assert is_installed("<frozen importlib._bootstrap>")
    assert is_installed(str(Path(site.getsitepackages()[0]) / "x.py"))
    assert is_installed(json.__file__)
    assert not is_installed(__file__)
    assert not is_installed("<ipython-input-1>")


@pytest.mark.parametrize("place", ["beside_7.py", "package_7/inner/module.py"])
def test_the_users_modules_are_importable_meanwhile(tmp_path, place):
    file = tmp_path / "my code" / place
    file.parent.mkdir(parents=True)
    file.touch()
    for folder in file.parents[: place.count("/")]:
        (folder / "__init__.py").touch()
    before = list(sys.path)
    with users_code_importable(str(file)):
        assert importlib.util.find_spec(place.split("/")[0].removesuffix(".py"))
    assert sys.path == before


def test_without_a_file_nothing_more_is_importable():
    before = list(sys.path)
    with users_code_importable(""):
        assert sys.path == before
