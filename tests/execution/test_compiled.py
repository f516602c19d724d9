"""Where compiled code is kept, and where it is not read from."""

from __future__ import annotations

import os

import numba
import pytest

from beampipe.execution import compiled
from beampipe.execution.compiled import FOLDER, keep_compiled

DIGEST = "ab" * 16


def make():
    @numba.njit(cache=True)
    def double(x):
        return 2 * x

    return type(double)(double.py_func, targetoptions=dict(double.targetoptions))


@pytest.fixture
def base(tmp_path, monkeypatch):
    monkeypatch.setenv("BEAMPIPE_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / FOLDER


def files(base):
    return sorted(base.rglob("*.compiled"))


def compile_one(digest=DIGEST):
    kernel = make()
    keep_compiled(kernel, digest)
    assert kernel(2) == 4
    return kernel


def test_every_signature_has_a_file_and_is_loaded_at_once(base):
    kernel = compile_one()
    assert kernel(2.5) == 5
    assert len(files(base)) == 2
    again = make()
    keep_compiled(again, DIGEST)
    assert len(again.signatures) == 2
    assert not again.stats.cache_misses


def test_another_digest_finds_nothing(base):
    compile_one()
    other = compile_one("cd" * 16)
    assert not other.stats.cache_hits
    assert len(files(base)) == 2


def test_nothing_is_read_from_where_others_may_write(base):
    compile_one()
    files(base)[0].parent.chmod(0o777)
    assert not compile_one().stats.cache_hits


def test_code_for_another_processor_is_left_alone(base, monkeypatch):
    compile_one()
    kernel = make()
    codegen = type(kernel.targetctx.codegen())
    monkeypatch.setattr(codegen, "magic_tuple", lambda _: ("another", "processor", "+x"))
    keep_compiled(kernel, DIGEST)
    assert kernel.signatures == []


def test_a_disk_without_room_costs_no_run(base, monkeypatch):
    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", refuse)
    compile_one()
    assert files(base) == []


def test_without_a_place_a_kernel_is_compiled_as_ever(base, monkeypatch):
    monkeypatch.setenv("BEAMPIPE_CACHE_DIR", os.devnull)
    compile_one()
    monkeypatch.setenv("BEAMPIPE_CHUNKSIZE", "nonsense")
    compile_one()
    assert files(base) == []


def test_what_was_not_used_for_long_is_removed(base, monkeypatch):
    monkeypatch.setattr(compiled, "_MOST_FOLDERS", 4)
    base.mkdir(parents=True)
    for number in range(6):
        (base / f"old{number}").mkdir()
        os.utime(base / f"old{number}", (number, number))
    compile_one()
    left = {path.name for path in base.iterdir()}
    assert {"old0", "old1", "old2", "old3", "old4"}.isdisjoint(left)
    assert "old5" in left
    assert len(files(base)) == 1
