"""Modules that travel. On real workers: tests/functional/test_travelling.py."""

from __future__ import annotations

import importlib
import io
import subprocess
import sys
import zipfile

import pytest

from beampipe.environments import code_archive
from beampipe.environments.code_archive import (
    CodeArchive,
    lay_out_code,
    pack_modules,
    take_away_code,
)
from beampipe.errors import ProcessorPickleError


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A user's folder, from which modules are imported."""
    folder = tmp_path / "project µ"
    package = folder / "topcuts" / "inner"
    package.mkdir(parents=True)
    (folder / "helper_a.py").write_text("import helper_b, json\nVALUE = helper_b.VALUE + 1\n")
    (folder / "helper_b.py").write_text("VALUE = 41\n")
    (folder / "unrelated.py").write_text("1 / 0\n")
    (folder / "topcuts" / "__init__.py").write_text("from . import base\n")
    (folder / "topcuts" / "base.py").write_text("import numpy\nBASE = 1\n")
    (folder / "topcuts" / "table.json").write_text("[5]")
    (folder / "topcuts" / ".secret").write_text("x")
    (package / "__init__.py").write_text("")
    (package / "late.py").write_text(
        "def late():\n    from ..base import BASE\n    import helper_b\n    return BASE\n"
    )
    monkeypatch.syspath_prepend(str(folder))
    return folder


def names_in(archive):
    return sorted(zipfile.ZipFile(io.BytesIO(archive.data)).namelist())


def test_what_modules_import_goes_along_and_nothing_else(project):
    archive = pack_modules(["helper_a", "json", "numpy", "not_there"])
    assert archive.names == ("helper_a", "helper_b")
    assert names_in(archive) == ["helper_a.py", "helper_b.py"]
    assert "helper_a" not in sys.modules
    assert pack_modules(["json", "numpy", "beampipe.errors"]) is None


def test_packages_go_with_their_parents_and_their_data(project):
    archive = pack_modules(["topcuts.inner.late"])
    assert names_in(archive) == [
        "helper_b.py",
        "topcuts/__init__.py",
        "topcuts/base.py",
        "topcuts/inner/__init__.py",
        "topcuts/inner/late.py",
        "topcuts/table.json",
    ]


def test_the_same_files_are_the_same_archive_and_others_another(project):
    first = pack_modules(["helper_a"])
    assert pack_modules(["helper_a"]) == first
    (project / "helper_b.py").write_text("VALUE = 42\n")
    assert pack_modules(["helper_a"]).digest != first.digest


def test_another_process_imports_what_was_laid_out_before_its_own(project, tmp_path):
    archive = pack_modules(["helper_a", "topcuts"])
    stale = tmp_path / "stale"
    stale.mkdir()
    (stale / "helper_a.py").write_text("VALUE = 0\n")
    (tmp_path / "archive.zip").write_bytes(archive.data)
    program = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(stale)!r})
import helper_a
assert helper_a.VALUE == 0
from beampipe.environments.code_archive import CodeArchive, lay_out_code, take_away_code
data = Path({str(tmp_path / "archive.zip")!r}).read_bytes()
archive = CodeArchive({archive.digest!r}, data, {archive.names!r})
place = lay_out_code(archive, Path({str(tmp_path / "worker")!r}))
import helper_a, topcuts
assert helper_a.VALUE == 42
assert (Path(topcuts.__file__).parent / "table.json").read_text() == "[5]"
take_away_code(place, archive)
assert str(place) not in sys.path
import helper_a
assert helper_a.VALUE == 0
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True, text=True, check=False, timeout=120, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_the_process_that_packed_it_needs_nothing(project, tmp_path):
    archive = pack_modules(["helper_a"])
    assert lay_out_code(archive, tmp_path) is None
    assert lay_out_code(None, tmp_path) is None
    take_away_code(None, None)
    assert importlib.import_module("helper_a").VALUE == 42
    sys.modules.pop("helper_a")
    sys.modules.pop("helper_b")


def test_too_much_is_refused_with_the_largest(project, monkeypatch):
    monkeypatch.setattr(code_archive, "_LARGEST_ARCHIVE", 10)
    with pytest.raises(ProcessorPickleError, match=r"largest is 'helper_a\.py'"):
        pack_modules(["helper_a"])


def test_a_file_that_is_no_python_is_sent_as_it_is(project):
    (project / "broken.py").write_text("def (\n")
    assert names_in(pack_modules(["broken"])) == ["broken.py"]
    assert isinstance(pack_modules(["broken"]), CodeArchive)
