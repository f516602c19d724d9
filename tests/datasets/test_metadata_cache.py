from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beampipe.datasets import metadata_cache
from beampipe.datasets.file_states import FileState
from beampipe.datasets.metadata_cache import FILE_NAME, FileMetadata, MetadataCache

URL = "/data/Z → µµ 'x' \"q\".root"
STATE = FileState(1000, "123")
FOUND = FileMetadata("Events", "a9490124-3648-11ea-89e9-f5b55c90beef", 40, "TTree")


def stored(directory, url=URL, treename=None, state=STATE):
    return MetadataCache(directory).get(url, treename, state)


def remember(directory, *urls, found=FOUND):
    cache = MetadataCache(directory)
    for url in urls or (URL,):
        cache.put(url, None, STATE, found)
    cache.flush()
    return cache


def test_what_was_put_is_there_in_the_next_process(tmp_path):
    remember(tmp_path / "new" / "folder")
    assert stored(tmp_path / "new" / "folder") == FOUND


def test_nothing_is_taken_for_another_file(tmp_path):
    remember(tmp_path)
    assert stored(tmp_path, url="/data/other.root") is None
    assert stored(tmp_path, treename="Events") is None
    assert stored(tmp_path, state=FileState(1001, "123")) is None
    assert stored(tmp_path, state=FileState(1000, "124")) is None
    assert stored(tmp_path, state=FileState(1000, None)) is None


def test_a_file_without_a_version_is_not_kept(tmp_path):
    cache = MetadataCache(tmp_path)
    cache.put(URL, None, FileState(1000, None), FOUND)
    cache.flush()
    assert not (tmp_path / FILE_NAME).exists()


def test_the_last_one_counts(tmp_path):
    remember(tmp_path)
    newer = FileMetadata("Events", FOUND.uuid, 41, "TTree")
    remember(tmp_path, found=newer)
    assert stored(tmp_path) == newer


def test_a_line_is_json_and_names_no_file(tmp_path):
    remember(tmp_path)
    (line,) = (tmp_path / FILE_NAME).read_text().split()
    assert json.loads(line)["r"] == [1000, "123", "Events", FOUND.uuid, 40, "TTree"]
    assert "data" not in line
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o077 == 0


@given(st.integers(0, 400), st.binary(max_size=20))
def test_torn_and_foreign_lines_are_ignored_and_spoil_nothing(tmp_path_factory, cut, rubbish):
    folder = tmp_path_factory.mktemp("cache")
    remember(folder, "/first.root")
    whole = (folder / FILE_NAME).read_bytes()
    torn = whole[: len(whole) - min(cut, len(whole))]
    (folder / FILE_NAME).write_bytes(torn + rubbish)
    remember(folder, "/second.root")
    assert stored(folder, "/second.root") == FOUND
    assert stored(folder, "/first.root") in (None, FOUND)


def test_every_flipped_byte_is_noticed(tmp_path):
    remember(tmp_path)
    path = tmp_path / FILE_NAME
    whole = path.read_bytes()
    for i in range(len(whole)):
        damaged = bytearray(whole)
        damaged[i] ^= 1
        path.write_bytes(damaged)
        assert stored(tmp_path) in (None, FOUND)


@pytest.mark.parametrize("fill", [b"\0", b"\xff", b"\n"])
def test_a_block_that_a_power_cut_left_unwritten_spoils_only_itself(tmp_path, fill):
    remember(tmp_path, *(f"/{number}.root" for number in range(9)))
    path = tmp_path / FILE_NAME
    data = path.read_bytes()
    path.write_bytes(data[:512] + fill * 512 + data[1024:])
    found = [stored(tmp_path, f"/{number}.root") for number in range(9)]
    assert set(found) == {None, FOUND}
    assert found.count(FOUND) >= 3
    remember(tmp_path, "/new.root")
    assert stored(tmp_path, "/new.root") == FOUND


PROGRAM = """
import os, sys
from beampipe.datasets.metadata_cache import *
from beampipe.datasets.file_states import FileState
cache = MetadataCache(sys.argv[1])
found = FileMetadata("Events", "u", 40, "TTree")
for i in range(int(sys.argv[3])):
    cache.put(f"{sys.argv[2]}/{i}", None, FileState(1, "1"), found)
    if i % 7 == 0:
        cache.flush()
        print(i, flush=True)
cache.flush()
"""


def start(folder, name, count):
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(folder), name, str(count)],
        stdout=subprocess.PIPE,
        text=True,
    )


def test_several_processes_at_once_lose_nothing(tmp_path):
    programs = [start(tmp_path, name, 300) for name in "abc"]
    for program in programs:
        program.communicate()
        assert program.returncode == 0
    cache = MetadataCache(tmp_path)
    assert len(cache) == 900
    assert cache.get("b/299", None, FileState(1, "1")) is not None


def test_a_killed_process_leaves_what_it_had_written(tmp_path):
    program = start(tmp_path, "a", 10**7)
    for line in program.stdout:
        if int(line) > 500:
            break
    program.send_signal(signal.SIGKILL)
    program.communicate()
    cache = MetadataCache(tmp_path)
    assert all(cache.get(f"a/{i}", None, FileState(1, "1")) for i in range(500))


def test_many_changes_are_tidied_away(tmp_path, monkeypatch):
    monkeypatch.setattr(metadata_cache, "MIN_WASTED_LINES", 20)
    cache = MetadataCache(tmp_path)
    for i in range(100):
        cache.put(URL, None, FileState(1000, str(i)), FOUND)
        cache.flush()
    assert (tmp_path / FILE_NAME).read_bytes().count(b"\n") < 60
    assert stored(tmp_path, state=FileState(1000, "99")) == FOUND
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


def test_the_oldest_are_dropped_when_there_are_too_many(tmp_path, monkeypatch):
    monkeypatch.setattr(metadata_cache, "MAX_RECORDS", 10)
    remember(tmp_path, *(f"/{i}.root" for i in range(10)))
    remember(tmp_path, "/0.root")  # counted again: now among the newest
    remember(tmp_path, "/10.root")
    assert len(MetadataCache(tmp_path)) == 5
    assert stored(tmp_path, "/10.root") == stored(tmp_path, "/0.root") == FOUND


def test_a_cache_that_cannot_be_written_fails_nothing(tmp_path):
    (tmp_path / "file").write_text("in the way")
    cache = remember(tmp_path / "file")
    assert cache.get(URL, None, STATE) == FOUND  # for this process
    assert stored(tmp_path / "file") is None


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_fails_nothing(tmp_path):
    (tmp_path / FILE_NAME).symlink_to("/dev/full")
    cache = MetadataCache(tmp_path)
    cache._lines = {}  # /dev/full can be read without end
    cache.put(URL, None, STATE, FOUND)
    cache.flush()
    assert cache.get(URL, None, STATE) == FOUND


def test_a_full_disk_during_tidying_leaves_the_cache_as_it_was(tmp_path, monkeypatch):
    remember(tmp_path, "/first.root")

    def refuse(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(metadata_cache, "MAX_RECORDS", 1)
    monkeypatch.setattr(os, "fdopen", refuse)
    remember(tmp_path, "/second.root")
    monkeypatch.undo()
    assert stored(tmp_path, "/first.root") == stored(tmp_path, "/second.root") == FOUND
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


def test_it_lies_where_the_user_wants_caches(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches µ")
    assert MetadataCache().path == Path("/caches µ/beampipe/metadata") / FILE_NAME
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert MetadataCache().path == Path("/home/me/.cache/beampipe/metadata") / FILE_NAME


def test_forty_thousand_files_load_quickly(tmp_path):
    urls = [f"root://eos.example.org//store/mc/file_{i}.root" for i in range(40_000)]
    remember(tmp_path, *urls)
    began = time.process_time()
    cache = MetadataCache(tmp_path)
    assert all(cache.get(url, None, STATE) for url in urls)
    assert time.process_time() - began < 3  # 0.4 s on an idle machine
