"""Rules of the house that no tool checks."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import beampipe
from beampipe import errors
from beampipe.errors import BeampipeError

PROJECT = Path(__file__).resolve().parents[1]
PACKAGE = PROJECT / "src" / "beampipe"
SOURCES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))
TESTS = sorted(path.relative_to(PROJECT / "tests") for path in (PROJECT / "tests").rglob("*.py"))

PUBLIC_NAMES = {
    "BeampipeError",
    "RunResult",
    "__version__",
    "cluster",
    "connect",
    "input_path",
    "load",
    "make_data",
    "reproduce",
    "resume",
    "run",
    "try_run",
    "verify",
}
LONGEST_FILE = 600
FORBIDDEN_STEMS = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "managers"}
# What start-up must not load, in seconds of a user's life: 0.4 (hist) to 2.6 (coffea) each.
HEAVY = {
    "awkward",
    "coffea",
    "distributed",
    "hist",
    "matplotlib",
    "mplhep",
    "numba",
    "pyarrow",
    "scipy",
    "uproot",
}
ERRORS = [
    value
    for _, value in inspect.getmembers(errors, inspect.isclass)
    if issubclass(value, BeampipeError)
]
LEAVES = [cls for cls in ERRORS if not cls.__subclasses__()]


def needs_test(source: Path) -> bool:
    return source.stem not in {"__init__", "__main__"}


@pytest.mark.parametrize("source", [s for s in SOURCES if needs_test(s)], ids=str)
def test_every_source_file_has_its_test_file(source):
    expected = PROJECT / "tests" / source.with_name(f"test_{source.name}")
    assert expected.is_file(), f"write tests/{expected.relative_to(PROJECT / 'tests')}"


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_no_file_is_long(source):
    lines = (PACKAGE / source).read_text(encoding="utf-8").count("\n")
    assert lines < LONGEST_FILE, "look for the second thing it does"


@pytest.mark.parametrize("path", [*SOURCES, *TESTS], ids=str)
def test_a_name_says_what_is_in_a_file(path):
    words = {word for part in (*path.parts[:-1], path.stem) for word in part.split("_")}
    assert not words & FORBIDDEN_STEMS


def test_the_front_door_is_what_it_is():
    assert set(beampipe.__all__) == PUBLIC_NAMES
    assert len(beampipe.__all__) == len(PUBLIC_NAMES) <= 15
    for name in beampipe.__all__:
        assert getattr(beampipe, name).__doc__, f"beampipe.{name} has no docstring"


@pytest.mark.parametrize(
    "program",
    [
        "import beampipe",
        "from beampipe.cli.main import cli; cli(['--help'], standalone_mode=False)",
        "from beampipe.cli.main import cli; cli(['run', '--help'], standalone_mode=False)",
    ],
    ids=["import", "--help", "run --help"],
)
def test_start_up_loads_nothing_heavy(program):
    code = f"{program}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    loaded = {name.partition(".")[0] for name in json.loads(done.stderr.splitlines()[-1])}
    assert not loaded & HEAVY


def test_every_error_code_is_its_own():
    codes = [cls.code for cls in ERRORS]
    assert sorted(codes) == sorted(set(codes))
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", code) for code in codes)


def test_the_errors_page_has_every_code_and_no_other():
    page = (PROJECT / errors.ERRORS_PAGE).read_text(encoding="utf-8")
    sections = dict(re.findall(r"^### (\S+)\n(.*?)(?=^##|\Z)", page, re.MULTILINE | re.DOTALL))
    assert sorted(sections) == sorted(cls.code for cls in LEAVES)
    for code, text in sections.items():
        assert "**Remedy.**" in text, f"{code} has no remedy in {errors.ERRORS_PAGE}"
