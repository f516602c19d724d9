"""What every test gets."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

import pytest

from beampipe.reading import column_cache

PROJECT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def _isolated_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch):
    """Keep the user's own settings and caches out of tests, and tests out of them."""
    home = tmp_path_factory.mktemp("home µ 'x'")
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))
    for variable in [name for name in os.environ if name.startswith("BEAMPIPE_")]:
        if variable != "BEAMPIPE_REAL_DATA":
            monkeypatch.delenv(variable)
    monkeypatch.setenv("BEAMPIPE_COLUMN_DIR", str(home / "columns"))
    # The processor of tests/chaos changes it wherever it runs, also in a test's own process.
    least = column_cache._LEAST_LOCAL_BYTES
    monkeypatch.setattr(column_cache, "_LEAST_LOCAL_BYTES", least)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real CMS files; CI must have it."""
    folder = Path(os.environ.get("BEAMPIPE_REAL_DATA") or PROJECT.parent / "shared" / "data")
    if not any(folder.glob("*.root")):
        reason = f"no real CMS files in '{folder}'; set BEAMPIPE_REAL_DATA"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


@pytest.fixture
def no_privilege():
    """Let file permissions count in this thread (and its children) also when we are root."""
    if os.geteuid() != 0:
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # version 3 of capabilities, this thread
    before, without = (ctypes.c_uint32 * 6)(), (ctypes.c_uint32 * 6)()
    for sets in (before, without):
        assert libc.capget(header, sets) == 0
    without[0] &= ~0b110  # the effective set: no CAP_DAC_OVERRIDE, no CAP_DAC_READ_SEARCH
    assert libc.capset(header, without) == 0
    yield
    assert libc.capset(header, before) == 0
