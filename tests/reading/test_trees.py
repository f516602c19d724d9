from __future__ import annotations

import dataclasses
import gc
import os
import shutil
import time
from pathlib import Path

import psutil
import pytest
import uproot

from beampipe.errors import (
    DatasetError,
    FileChangedError,
    FileMissingError,
    FileTruncatedError,
    NotRootError,
    TreeNotFoundError,
)
from beampipe.reading import trees
from beampipe.reading.trees import TreePool, know_inner_fields


@pytest.fixture
def pool():
    found = TreePool(max_open=2)
    yield found
    found.close()


def open_files() -> set[str]:
    gc.collect()  # uproot leaves a file it can't make sense of to the collector
    return {file.path for file in psutil.Process().open_files() if file.path.endswith(".root")}


def test_a_tree_is_opened_once(pool, write_events, entry_of):
    entry = entry_of(write_events())
    opened = pool.get(entry)
    assert pool.get(entry) is opened
    assert opened.uuid == entry.uuid == str(opened.tree.file.uuid)
    assert opened.is_local
    assert opened.requested_bytes > 0


def test_only_the_last_few_stay_open(pool, write_events, entry_of):
    entries = [entry_of(write_events(f"{i} µ.root")) for i in range(4)]
    before = open_files()
    first = pool.get(entries[0])
    pool.get(entries[1])
    assert pool.get(entries[0]) is first
    third = pool.get(entries[2])
    assert pool.get(entries[0]) is first
    assert pool.get(entries[2]) is third
    assert len(pool) == 2
    assert len(open_files() - before) == 2
    pool.close()
    assert open_files() == before
    assert len(pool) == 0


def test_two_trees_of_one_file_are_two(pool, write_events, entry_of, tmp_path):
    import uproot

    path = tmp_path / "two.root"
    with uproot.recreate(path) as file:
        file["a"] = {"x": [1, 2]}
        file["folder/b"] = {"x": [1, 2, 3]}
    assert pool.get(entry_of(path, tree="a")).tree.num_entries == 2
    assert pool.get(entry_of(path, tree="folder/b")).tree.num_entries == 3


def test_replicas_are_tried_in_order(pool, write_events, entry_of, tmp_path):
    good = write_events("good.root")
    broken = tmp_path / "broken.root"
    broken.write_text("not a ROOT file at all")
    entry = entry_of(good)
    entry = dataclasses.replace(entry, urls=(str(tmp_path / "gone.root"), str(broken), str(good)))
    assert pool.get(entry).url == str(good)


def test_the_first_replicas_error_is_raised_and_the_others_are_told(
    pool, write_events, entry_of, tmp_path
):
    broken = tmp_path / "broken.root"
    broken.write_text("not a ROOT file at all")
    urls = (str(tmp_path / "gone.root"), str(broken))
    entry = dataclasses.replace(entry_of(write_events()), urls=urls)
    with pytest.raises(FileMissingError) as caught:
        pool.get(entry)
    assert "broken.root" in caught.value.__notes__[0]


def test_a_replica_that_gave_trouble_is_tried_last(pool, write_events, entry_of, tmp_path):
    one = write_events("one.root")
    two = tmp_path / "two.root"
    shutil.copyfile(one, two)
    entry = entry_of(one, two)
    assert pool.get(entry).url == str(one)
    assert pool.get(entry, avoid=frozenset({str(one)})).url == str(two)
    two.unlink()
    assert pool.get(entry, avoid=frozenset({str(two)})).url == str(one)
    pool.close()
    assert pool.get(entry, avoid=frozenset({str(one)})).url == str(one)


def test_a_file_replaced_before_it_is_opened_is_noticed(pool, write_events, entry_of):
    path = write_events()
    entry = entry_of(path)
    write_events(path.name, scale=2.0)
    with pytest.raises(FileChangedError, match="its uuid is") as caught:
        pool.get(entry)
    assert caught.value.code == "reading-file-changed"
    assert not open_files()


def test_a_file_replaced_while_it_is_open_is_noticed(pool, write_events, entry_of):
    path = write_events()
    entry = entry_of(path)
    pool.get(entry)
    os.replace(write_events("new.root", scale=2.0), path)  # noqa: PTH105  what `mv` does
    with pytest.raises(FileChangedError):
        pool.get(entry)
    assert len(pool) == 0


def test_a_replica_that_is_another_file_is_passed_over(pool, write_events, entry_of):
    right = write_events("right.root")
    other = write_events("other.root")
    entry = dataclasses.replace(entry_of(right), urls=(str(other), str(right)))
    assert pool.get(entry).url == str(right)


def test_a_tree_with_other_entries_than_planned_is_noticed(pool, write_events, entry_of):
    entry = dataclasses.replace(entry_of(write_events()), entries=7)
    with pytest.raises(FileChangedError, match="300 entries, planned were 7"):
        pool.get(entry)


def test_errors_of_opening_are_those_of_planning(pool, write_events, entry_of):
    path = write_events()
    entry = entry_of(path)
    with pytest.raises(TreeNotFoundError, match="Events"):
        pool.get(dataclasses.replace(entry, treename="Evnts"))
    os.truncate(path, 2000)
    with pytest.raises(FileTruncatedError):
        pool.get(entry)
    path.write_text("<html>please log in</html>")
    with pytest.raises(NotRootError):
        pool.get(entry)
    path.unlink()
    with pytest.raises(FileMissingError):
        pool.get(entry)
    assert not open_files()


def test_a_touched_file_is_opened_again_and_found_to_be_the_same(pool, write_events, entry_of):
    path = write_events()
    entry = entry_of(path)
    opened = pool.get(entry)
    assert not opened.was_rewritten()
    os.utime(path, ns=(0, 0))
    assert opened.was_rewritten()
    assert pool.get(entry) is not opened
    assert len(pool) == 1


def test_a_replaced_file_was_not_rewritten(pool, write_events, entry_of):
    path = write_events()
    opened = pool.get(entry_of(path))
    path.rename(path.with_name("old.root"))
    assert not opened.was_rewritten()
    write_events(path.name)
    assert not opened.was_rewritten()


def test_a_suspect_tree_is_opened_again(pool, write_events, entry_of):
    entry = entry_of(write_events())
    opened = pool.get(entry)
    opened.is_suspect = True
    assert pool.get(entry) is not opened


def test_a_remote_files_header_is_read_again_after_a_while(
    pool, write_events, entry_of, monkeypatch
):
    entry = dataclasses.replace(entry_of(path := write_events("a.root")))
    # fsspec's own names make the same file a remote one
    remote = dataclasses.replace(entry, urls=(f"memory:/{path}",))
    import fsspec

    fsspec.filesystem("memory").pipe(str(path), path.read_bytes())
    opened = pool.get(remote)
    assert not opened.is_local
    assert pool.get(remote) is opened
    later = time.monotonic() + 100
    monkeypatch.setattr(trees.time, "monotonic", lambda: later)
    assert pool.get(remote) is opened
    assert opened.checked_at == later
    other = write_events("b.root", scale=3.0)
    fsspec.filesystem("memory").pipe(str(path), other.read_bytes())
    assert pool.get(remote) is opened
    monkeypatch.setattr(trees.time, "monotonic", lambda: later + 100)
    with pytest.raises(FileChangedError):
        pool.get(remote)


@pytest.fixture
def remote(write_events, entry_of):
    """A file that is a remote one to us, and what puts another in its place."""
    import fsspec

    path = write_events("a.root")
    name = f"/{os.getpid()} Z → µµ.root"
    fsspec.filesystem("memory").pipe(name, path.read_bytes())
    entry = dataclasses.replace(entry_of(path), urls=(f"memory:/{name}",))
    yield entry, lambda data: fsspec.filesystem("memory").pipe(name, data)
    fsspec.filesystem("memory").rm(name)


def test_what_was_read_of_a_remote_file_is_confirmed_once(pool, remote):
    entry, _ = remote
    opened = pool.get(entry)
    before = opened.requested_bytes
    opened.confirm()
    assert opened.requested_bytes == before + 63
    opened.confirm()  # nothing was read since
    assert opened.requested_bytes == before + 63
    opened.tree["event"].array()
    opened.confirm()
    assert opened.confirmed_bytes == opened.requested_bytes > before + 2 * 63
    assert not opened.is_suspect


def test_a_remote_file_that_was_replaced_is_not_confirmed(pool, write_events, remote):
    entry, put = remote
    opened = pool.get(entry)
    data = write_events("a.root").read_bytes()
    assert opened.tree.file.fUUID not in data  # the same events, and yet another file
    put(data)
    assert len(opened.tree["event"].array()) == 300  # uproot notices nothing
    with pytest.raises(FileChangedError, match="not the file that was planned"):
        opened.confirm()
    assert opened.is_suspect
    with pytest.raises(FileChangedError):
        pool.get(entry)


@pytest.mark.parametrize("rest", [b"", b"<html>log in</html>"])
def test_a_remote_file_without_a_header_is_not_confirmed(pool, remote, rest):
    entry, put = remote
    opened = pool.get(entry)
    put(rest)
    with pytest.raises(DatasetError):
        opened.confirm()
    assert opened.is_suspect


@pytest.mark.parametrize("version", ["small", "big"])
def test_the_uuid_lies_where_it_is_looked_for(pool, remote, monkeypatch, version):
    from uproot import reading

    entry, put = remote
    opened = pool.get(entry)
    uuid = opened.tree.file.fUUID
    if version == "big":
        fields = [*reading._file_header_fields_big.unpack(bytes(75))[:-1], uuid]
        put(reading._file_header_fields_big.pack(*fields) + bytes(1000))
        monkeypatch.setattr(opened.tree.file, "_fVersion", 1_000_000 + 62400)
    opened.confirm()
    assert not opened.is_suspect


def test_a_local_file_needs_no_confirmation(pool, write_events, entry_of):
    path = write_events()
    opened = pool.get(entry_of(path))
    before = opened.requested_bytes
    path.unlink()
    opened.confirm()
    assert opened.requested_bytes == before


def test_a_file_url_is_a_local_file(pool, write_events, entry_of):
    path: Path = write_events("plain.root")
    entry = dataclasses.replace(entry_of(path), urls=(path.as_uri(),))
    assert pool.get(entry).is_local


@pytest.mark.parametrize(
    "name",
    [
        "Run2012BC_DoubleMuParked_Muons_1000evts_rntuple_v1-0-0-0.root",
        "nano_dy_rntuple.root",
    ],
)
def test_fields_of_an_rntuple_know_what_uproot_would_find(real_data, name):
    with uproot.open(real_data / name) as file, uproot.open(real_data / name) as other:
        told, asked = file["Events"], other["Events"]
        know_inner_fields(told)
        assert [[one.field_id for one in field._fields] for field in told.all_fields] == [
            [one.field_id for one in field.fields] for field in asked.all_fields
        ]
        assert told.keys() == asked.keys()
