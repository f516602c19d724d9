"""Modules that are imported inside functions."""

import sys

import pytest

from beampipe.execution.identity.code import ImportUse
from beampipe.execution.identity.describe import describe
from beampipe.execution.identity.sources import describe_source
from beampipe.execution.identity.walk import Walk


@pytest.fixture
def package(tmp_path, monkeypatch):
    folder = tmp_path / "lazy_package"
    folder.mkdir()
    (folder / "__init__.py").write_text("from . import cuts\n")
    (folder / "cuts.py").write_text("import numpy\nfrom .deep import x\n")
    (folder / "deep.py").write_text("x = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return folder


def parts_of(use, package=""):
    walk = Walk(describe)
    describe_source(walk, use, package)
    assert walk.unhashable == {}
    return {name: part.digest for name, part in walk.parts.items()}, walk.packages


def test_it_is_read_with_all_it_imports_and_not_run(package):
    parts, packages = parts_of(ImportUse("lazy_package", 0, ()))
    names = ["module lazy_package", "module lazy_package.cuts", "module lazy_package.deep"]
    assert sorted(parts) == names
    assert packages == {"numpy"}
    assert "lazy_package" not in sys.modules


def test_comments_and_docstrings_do_not_matter(package):
    use = ImportUse("cuts", 1, ())
    before = parts_of(use, "lazy_package")
    (package / "deep.py").write_text('"""Words."""\n\nx = 1  # one\n')
    assert parts_of(use, "lazy_package") == before
    (package / "deep.py").write_text("x = 2\n")
    assert parts_of(use, "lazy_package") != before


def test_a_module_that_is_not_there_is_no_error(package):
    assert parts_of(ImportUse("there_is_none_such", 0, ())) == ({}, set())
    (package / "broken.py").write_text("def")
    walk = Walk(describe)
    describe_source(walk, ImportUse("lazy_package.broken", 0, ()), "")
    assert "cannot be read" in walk.unhashable["module lazy_package.broken"]
