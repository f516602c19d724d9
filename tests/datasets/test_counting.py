from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
import uproot
from tests.faults.http_server import FaultyServer

from beampipe.datasets import counting
from beampipe.datasets.counting import count_file, count_files
from beampipe.datasets.metadata_cache import MetadataCache
from beampipe.datasets.model import FileEntry, FileSpec, UncountedFile
from beampipe.errors import (
    DatasetError,
    FileAccessError,
    FileEmptyError,
    FileMismatchError,
    FileMissingError,
    FileTruncatedError,
    FileUnreadableError,
    NotRootError,
    TreeAmbiguousError,
    TreeNotFoundError,
)
from beampipe.testing import tiny_files

HOSTILE = "Z → µµ: 'x' \"q\" [1]::#?.root"


def count(path, *replicas, cache=None, **details):
    return count_file(FileSpec((str(path), *map(str, replicas)), **details), "DY", cache=cache)


@pytest.fixture
def tiny(tmp_path):
    return tiny_files.write_tree_file(tmp_path / HOSTILE, events=12)


def test_a_file_is_counted(tiny):
    found = count(tiny)
    with tiny.open("rb") as handle, uproot.open(handle) as file:
        uuid = str(file.file.uuid)
    size = tiny.stat().st_size
    assert found == FileEntry("DY", (str(tiny),), "Events", uuid, 12, size, "TTree")


@pytest.mark.parametrize("treename", [None, "Events"])
def test_real_files_are_counted(real_data, treename):
    for path in real_data.glob("nano*.root"):
        found = count(path, treename=treename)
        with uproot.open(path) as file:
            assert found.entries == file["Events"].num_entries
            assert found.uuid == str(file.file.uuid)
        assert found.kind == ("RNTuple" if "rntuple" in path.name else "TTree")
        assert found.size_bytes == path.stat().st_size


WRITERS = {
    FileMissingError: lambda path: path,
    FileEmptyError: tiny_files.write_empty_file,
    NotRootError: tiny_files.write_text_file,
    FileTruncatedError: tiny_files.write_truncated_file,
    FileUnreadableError: tiny_files.write_damaged_file,
    TreeNotFoundError: lambda path: tiny_files.write_trees_file(path, {}),
    TreeAmbiguousError: lambda path: tiny_files.write_trees_file(path, {"a": 1, "b": 2}),
}


@pytest.mark.parametrize("kind", WRITERS, ids=lambda kind: kind.__name__)
def test_each_kind_of_bad_file_has_its_error(tmp_path, kind):
    path = WRITERS[kind](tmp_path / HOSTILE)
    with pytest.raises(DatasetError) as caught:
        count(path)
    assert type(caught.value) is kind
    assert str(path) in str(caught.value)
    assert caught.value.why
    assert caught.value.fix


@pytest.mark.parametrize("name", ["nano_dy.root", "nano_dy_rntuple.root", "uproot-HZZ.root"])
@pytest.mark.parametrize("keep", [0.001, 0.3, 0.999])
def test_a_truncated_real_file_is_called_that(tmp_path, real_data, name, keep):
    data = (real_data / name).read_bytes()
    path = tmp_path / HOSTILE
    path.write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(FileTruncatedError, match="bytes"):
        count(path)


@pytest.mark.parametrize("name", ["nano_dy_rntuple.root", "uproot-HZZ.root"])
def test_damage_anywhere_gives_a_count_or_one_of_our_errors(tmp_path, real_data, name):
    data = (real_data / name).read_bytes()
    path = tmp_path / "damaged.root"
    for start in range(4, len(data), len(data) // 60):
        path.write_bytes(data[:start] + os.urandom(200) + data[start + 200 :])
        for treename in (None, "Events"):
            (found,) = count_files([("DY", FileSpec((str(path),), treename))])
            assert found.error.why if isinstance(found, UncountedFile) else found.entries >= 0


def test_a_damaged_footer_of_an_rntuple_is_noticed(tmp_path):
    path = tiny_files.write_rntuple_file(tmp_path / "a.root", events=1000)
    data = bytearray(path.read_bytes())
    group = struct.pack("<QQI", 0, 1000, 1)  # first entry, entries, clusters
    assert data.count(group) == 1
    data[data.index(group) + 8] ^= 1
    path.write_bytes(data)
    with pytest.raises(FileUnreadableError, match="checksum"):
        count(path)


def test_the_first_replica_that_works_is_put_first(tmp_path, tiny):
    missing, empty = tmp_path / "gone.root", tiny_files.write_empty_file(tmp_path / "empty.root")
    assert count(missing, empty, tiny).urls == (str(tiny), str(missing), str(empty))


def test_replicas_that_all_fail_are_all_listed(tmp_path):
    paths = [tmp_path / "gone.root", tiny_files.write_empty_file(tmp_path / "empty.root")]
    with pytest.raises(FileUnreadableError, match="None of the 2 replicas") as caught:
        count(*paths)
    for path, code in zip(paths, ("dataset-file-missing", "dataset-file-empty"), strict=True):
        assert str(path) in caught.value.why
        assert code in caught.value.why
    with pytest.raises(FileMissingError, match="None of the 2"):
        count(tmp_path / "a.root", tmp_path / "b.root")


@pytest.mark.parametrize(
    ("details", "reason"),
    [
        ({"entries": 13}, "13 entries"),
        ({"uuid": "00000000-0000-0000-0000-000000000000"}, "uuid"),
        ({"steps": ((0, 5), (5, 13))}, "entry 13"),
    ],
)
def test_a_file_that_is_not_what_the_fileset_says(tiny, tmp_path, details, reason):
    cache = MetadataCache(tmp_path / "cache")
    for _ in range(2):  # the second time from the cache
        with pytest.raises(FileMismatchError, match=reason):
            count(tiny, cache=cache, **details)
    uuid = count(tiny).uuid.upper()
    assert count(tiny, entries=12, uuid=uuid, steps=((0, 12),)).entries == 12


def test_the_cache_knows_a_file_until_it_changes(tiny, tmp_path, monkeypatch):
    first = count(tiny, cache=MetadataCache(tmp_path / "cache"))
    cache = MetadataCache(tmp_path / "cache")
    count_files([("DY", FileSpec((str(tiny),)))], cache=cache)
    opened = []
    real = counting.read_metadata
    monkeypatch.setattr(counting, "read_metadata", lambda *a: opened.append(a) or real(*a))
    assert count(tiny, cache=MetadataCache(tmp_path / "cache")) == first
    assert not opened
    tiny_files.write_tree_file(tiny, events=99)
    assert count(tiny, cache=MetadataCache(tmp_path / "cache")).entries == 99
    assert len(opened) == 1


def test_failures_are_not_remembered(tmp_path):
    cache = MetadataCache(tmp_path / "cache")
    path = tmp_path / HOSTILE
    with pytest.raises(FileMissingError):
        count(path, cache=cache)
    tiny_files.write_tree_file(path, events=3)
    assert count(path, cache=cache).entries == 3


def test_uproot_is_not_loaded_when_everything_is_known(tiny, tmp_path):
    program = (
        "import sys; from beampipe.datasets.counting import *;"
        "from beampipe.datasets.metadata_cache import MetadataCache;"
        "print(count_files([('DY', FileSpec((sys.argv[1],)))], cache=MetadataCache(sys.argv[2]))"
        "[0].entries, 'uproot' in sys.modules)"
    )
    command = [sys.executable, "-c", program, str(tiny), str(tmp_path / "cache")]
    results = [subprocess.check_output(command, text=True).split() for _ in range(2)]
    assert results == [["12", "True"], ["12", "False"]]


def test_results_come_in_the_order_of_the_files(tmp_path):
    files = []
    for i in range(40):
        path = tmp_path / f"{i}.root"
        if i % 3:
            tiny_files.write_tree_file(path, events=i)
        files.append(("DY", FileSpec((str(path),))))
    seen = []
    results = count_files(files, on_progress=lambda *numbers: seen.append(numbers))
    assert [type(result) for result in results] == [
        FileEntry if i % 3 else UncountedFile for i in range(40)
    ]
    assert [result.entries for result in results if isinstance(result, FileEntry)] == [
        i for i in range(40) if i % 3
    ]
    assert seen == [(i, 40) for i in range(1, 41)]


def test_threads_help_out_where_files_are_slow(tmp_path, monkeypatch):
    """A network file system makes us wait; a disk here does not, so it is imitated."""
    paths = [tiny_files.write_tree_file(tmp_path / f"{i}.root") for i in range(100)]
    files = [("DY", FileSpec((str(path),))) for path in paths]
    threads = set()
    real = counting.read_metadata

    def read_slowly(*args):
        threads.add(threading.current_thread().name)
        time.sleep(0.005)
        return real(*args)

    monkeypatch.setattr(counting, "read_metadata", read_slowly)
    results = count_files(files)
    assert sum(result.entries for result in results) == 10_000
    assert len(threads) > 2


def test_nothing_is_counted_after_an_interrupt(tmp_path, monkeypatch):
    files = [("DY", FileSpec((f"http://127.0.0.1:9/{i}.root",))) for i in range(500)]
    asked = []

    def read_state(url):
        asked.append(url)
        time.sleep(0.1)
        raise FileMissingError(url)

    def interrupt(*_args):
        raise KeyboardInterrupt

    monkeypatch.setattr(counting, "read_file_state", read_state)
    with pytest.raises(KeyboardInterrupt):
        count_files(files, on_progress=interrupt)
    assert len(asked) < 200


# -- over the network (the loopback) ---------------------------------------------------------------


def test_served_files_are_counted_and_remembered(web, real_data, tmp_path):
    names = ["nano_dy.root", "nano_dy_rntuple.root", "uproot-HZZ.root"]
    for name in names:
        shutil.copy(real_data / name, web.folder / name)
    tiny_files.write_tree_file(web.folder / "tiny.root", events=5)
    names.append("tiny.root")
    files = [("DY", FileSpec((f"{web.url}/{name}",))) for name in names]
    cache = MetadataCache(tmp_path / "cache")
    first = count_files(files, cache=cache)
    assert [result.entries for result in first] == [40, 40, 2421, 5]
    served = sum(
        int(stop) - int(start) + 1
        for _, _, wanted in web.requests
        if wanted
        for start, stop in [wanted.removeprefix("bytes=").split("-")]
    )
    assert served < 100_000  # of 657 kB
    web.requests.clear()
    assert count_files(files, cache=MetadataCache(tmp_path / "cache")) == first
    assert [command for command, _, _ in web.requests] == ["HEAD"] * 4


def test_served_files_that_cannot_be_used(web, tmp_path):
    page = tiny_files.write_text_file(web.folder / "page.root", "<html>" * 200)
    tiny_files.write_text_file(web.folder / "short.root", "<html>")
    tiny_files.write_truncated_file(web.folder / "cut.root")
    tiny_files.write_truncated_file(web.folder / "shorter.root", keep=0.01)
    tiny_files.write_tree_file(web.folder / "secret.root")
    assert page.exists()
    expected = {
        "page.root": NotRootError,
        "short.root": NotRootError,
        "cut.root": FileTruncatedError,
        "shorter.root": FileTruncatedError,
        "secret.root": FileAccessError,
        "gone.root": FileMissingError,
    }
    found = {}
    for name in expected:
        with pytest.raises(DatasetError) as caught:
            count(f"{web.url}/{name}?authz=c0ffee")
        found[name] = type(caught.value)
        assert "c0ffee" not in str(caught.value)
    assert found == expected


def test_a_server_that_is_not_there():
    with pytest.raises(FileMissingError, match="reached"):
        count("http://127.0.0.1:9/a.root")


def test_a_replica_helps_when_a_server_is_not_there(tiny):
    assert count("http://127.0.0.1:9/a.root", tiny).entries == 12


def test_a_server_without_byte_ranges_is_called_that(tmp_path, tiny):
    shutil.copy(tiny, tmp_path / "a.root")
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/a.root"
        with pytest.raises(FileUnreadableError, match="byte ranges"):
            count(url)
        assert count(f"simplecache::{url}").entries == 12
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_server_that_is_in_trouble_for_a_moment_is_asked_again(tmp_path):
    tiny_files.write_tree_file(tmp_path / "a.root", events=12)
    with FaultyServer(tmp_path) as server:
        faults = [503, "reset", 503]
        server.fault = lambda *_: faults.pop() if faults else None
        assert count(f"{server.url}/a.root").entries == 12
        assert not faults


def test_the_next_replica_has_its_turn_where_a_server_stays_in_trouble(tmp_path, tiny):
    with FaultyServer(tmp_path) as server:
        server.fault = lambda *_: 503
        url = f"{server.url}/a.root"
        assert count(url, tiny).urls == (str(tiny), url)
        assert len(server.requests) >= 3


@pytest.mark.parametrize("others", [(), ("/nowhere/b.root",)])
def test_it_is_told_that_a_file_may_be_there_another_time(tmp_path, others):
    with FaultyServer(tmp_path) as server:
        server.fault = lambda *_: 503
        spec = FileSpec((*others, f"{server.url}/a.root"))
        (found,) = count_files([("DY", spec)])
        assert (found.error.kind, found.error.rule) == ("transient", "http-status")
    (found,) = count_files([("DY", FileSpec(("/nowhere/b.root",)))])
    assert found.error.kind == "data"
