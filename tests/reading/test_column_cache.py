from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import awkward as ak
import numpy as np
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from beampipe.errors import FileChangedError
from beampipe.reading import column_cache
from beampipe.reading.column_cache import ColumnCache, ColumnRoom, open_column_cache
from beampipe.reading.loading import ColumnLoader
from beampipe.reading.trees import TreePool


@pytest.fixture(autouse=True)
def _small_ones_too(monkeypatch):
    monkeypatch.setattr(column_cache, "_LEAST_LOCAL_BYTES", 0)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "columns µ 'x'"


@pytest.fixture
def open_file(write_events, entry_of):
    pool = TreePool()
    path = write_events()

    def open_again():
        return pool.get(entry_of(path))

    yield open_again
    pool.close()


def load(opened, cache, *names, start=0, stop=160):
    """Read columns as a chunk does; gives them, how many were found, and the bytes asked for."""
    loader = ColumnLoader(opened, start, stop, cached=cache.columns(opened, (start, stop)))
    columns = [loader.load(name) for name in names]
    loader.confirm()
    return columns, int(loader.metrics()["columns_cached"]), loader.bytes_read


def files_in(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.column"))


def same(a: ak.Array, b: ak.Array) -> bool:
    return a.layout.form == b.layout.form and ak.array_equal(a, b, dtype_exact=True)


def test_what_was_read_once_is_not_read_again(open_file, folder):
    names = ("event", "Muon_pt", "MET_pt")
    first, n_found, n_bytes = load(open_file(), ColumnCache(folder, max_bytes=10**9), *names)
    assert (n_found, n_bytes > 0) == (0, True)
    second, n_found, n_bytes = load(open_file(), ColumnCache(folder, max_bytes=10**9), *names)
    assert (n_found, n_bytes) == (3, 0)
    assert all(same(a, b) for a, b in zip(first, second, strict=True))


def test_another_range_column_or_size_is_another_thing(open_file, folder):
    cache = ColumnCache(folder, max_bytes=10**9)
    load(open_file(), cache, "event", stop=160)
    assert load(open_file(), cache, "event", stop=100)[0][0].tolist() == list(range(100))
    assert load(open_file(), cache, "event", start=100)[1] == 0
    assert load(open_file(), cache, "MET_pt")[1] == 0


def test_a_file_that_was_written_anew_is_read_anew(open_file, folder):
    cache = ColumnCache(folder, max_bytes=10**9)
    opened = open_file()
    load(opened, cache, "event")
    os.utime(opened.url, ns=(1, 1))  # as whoever repairs or damages bytes in it leaves it
    assert load(open_file(), cache, "event")[1] == 0


def test_what_a_processor_does_to_an_array_stays_with_it(open_file, folder):
    cache = ColumnCache(folder, max_bytes=10**9)
    load(open_file(), cache, "event")
    (first,), n_found, _ = load(open_file(), cache, "event")
    assert n_found == 1
    np.asarray(first)[:] = 0
    assert load(open_file(), cache, "event")[0][0].tolist() == list(range(160))


def test_what_a_processor_has_changed_in_place_is_not_kept(open_file, folder):
    cache = ColumnCache(folder, max_bytes=10**9)
    opened = open_file()
    loader = ColumnLoader(opened, 0, 160, cached=cache.columns(opened, (0, 160)))
    np.asarray(loader.load("event"))[7] += 1
    loader.load("MET_pt")
    loader.confirm()
    assert len(files_in(folder)) == 1
    (event,), n_found, _ = load(open_file(), cache, "event")
    assert (event.tolist(), n_found) == (list(range(160)), 0)
    assert load(open_file(), cache, "MET_pt")[1] == 1


def test_nothing_is_kept_of_a_file_that_was_rewritten_meanwhile(open_file, folder):
    cache = ColumnCache(folder, max_bytes=10**9)
    opened = open_file()
    loader = ColumnLoader(opened, 0, 160, cached=cache.columns(opened, (0, 160)))
    loader.load("event")
    os.utime(opened.url, ns=(1, 1))
    with pytest.raises(FileChangedError):
        loader.load("MET_pt")
    loader.confirm()
    assert not files_in(folder)


def test_nothing_is_kept_of_a_file_that_is_not_confirmed(open_file, folder, monkeypatch):
    cache = ColumnCache(folder, max_bytes=10**9)
    opened = open_file()
    loader = ColumnLoader(opened, 0, 160, cached=cache.columns(opened, (0, 160)))
    loader.load("event")
    loader.close()
    assert not files_in(folder)


def test_no_damage_is_believed(open_file, folder):
    cache = ColumnCache(folder, max_bytes=10**9)
    load(open_file(), cache, "event", stop=10)
    (path,) = files_in(folder)
    whole = path.read_bytes()
    damaged = [whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in range(len(whole))]
    damaged += [whole[:at] for at in range(len(whole))] + [whole + b"\0", b""]
    opened = open_file()
    for data in damaged:
        path.write_bytes(data)
        assert cache.columns(opened, (0, 10)).get("event") is None
    columns, n_found, _ = load(opened, cache, "event", stop=10)
    assert (columns[0].tolist(), n_found) == (list(range(10)), 0)
    assert path.read_bytes() == whole, "it is made anew"


def test_one_column_in_the_place_of_another_is_not_believed(open_file, folder):
    cache = ColumnCache(folder, max_bytes=10**9)
    load(open_file(), cache, "event")
    (event,) = files_in(folder)
    load(open_file(), cache, "MET_pt")
    (other,) = set(files_in(folder)) - {event}
    other.write_bytes(event.read_bytes())
    assert load(open_file(), cache, "MET_pt")[1] == 0


def test_what_is_kept_is_bounded(open_file, folder):
    most = 40 * 4096
    cache = ColumnCache(folder, max_bytes=most)
    for start in range(100):
        load(open_file(), cache, "event", start=start)
        assert sum(path.stat().st_size for path in files_in(folder)) <= most
    assert load(open_file(), cache, "event", start=0)[1] == 1, "one run keeps its first ones"
    later = ColumnCache(folder, max_bytes=most)
    load(open_file(), later, "event", start=130)
    assert load(open_file(), later, "event", start=130)[1] == 1, "the next run has the room"


@pytest.mark.parametrize(
    "name",
    [
        *("nano_tt_v12.root", "nano_dy_rntuple.root", "uproot-HZZ.root"),
        "nanoAOD_2015_CMS_Open_Data_ttbar.root",
    ],
)
def test_columns_of_real_files_come_back_alike(real_data, entry_of, folder, name):
    cache = ColumnCache(folder, max_bytes=10**9)
    pool = TreePool()
    opened = pool.get(entry_of(real_data / name))
    names = [name for name in opened.tree.keys() if "." not in name][::12]  # noqa: SIM118
    columns, n_found, _ = load(opened, cache, *names, stop=20)
    again, n_again, n_bytes = load(opened, cache, *names, stop=20)
    assert (n_found, n_again, n_bytes) == (0, len(names), 0)
    for column, other in zip(columns, again, strict=True):
        assert same(column, other)
    pool.close()


NUMBERS = st.sampled_from(["?", "i1", "u2", "<i4", "u8", "f4", "f8"])


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    kind=NUMBERS,
    counts=st.lists(st.integers(0, 4), max_size=8),
    depth=st.integers(0, 2),
    word=st.text(max_size=4),
)
def test_arrays_of_every_form_come_back_alike(folder, kind, counts, depth, word):
    flat = np.arange(sum(counts) if depth else len(counts)).astype(kind)
    array = ak.Array(flat)
    if depth:
        array = ak.unflatten(array, np.array(counts, dtype=np.int64))
    if depth > 1:
        array = ak.Array([array, array[:0]])
    for one in (array, ak.Array([word] * 3), ak.zip({"x": array}, depth_limit=1)):
        digest = bytes(16)
        data = np.frombuffer(b"".join(column_cache._pack(digest, one)), dtype=np.uint8).copy()
        found = column_cache._unpack(digest, memoryview(data))
        assert same(found, one)
        assert column_cache._unpack(bytes([1] * 16), memoryview(data)) is None


# -- where it lies ------------------------------------------------------------------------------


def test_there_is_none_without_room(tmp_path):
    assert open_column_cache(None) is None
    assert open_column_cache(ColumnRoom(0, str(tmp_path))) is None
    assert not list(tmp_path.iterdir())


def test_it_is_the_users_alone(tmp_path):
    assert open_column_cache(ColumnRoom(10**9, str(tmp_path))) is not None
    (folder,) = tmp_path.iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert str(os.getuid()) in folder.name


@pytest.mark.parametrize("kind", ["open to others", "somebody else's", "link", "file"])
def test_a_folder_that_others_may_write_is_not_used(tmp_path, kind, monkeypatch):
    folder = tmp_path / column_cache._FOLDER.format(uid=os.getuid())
    match kind:
        case "open to others":
            folder.mkdir()
            folder.chmod(0o770)
        case "somebody else's":
            folder.mkdir(mode=0o700)
            os.chown(folder, 65_534, -1)
        case "link":
            (tmp_path / "elsewhere").mkdir(mode=0o700)
            folder.symlink_to(tmp_path / "elsewhere")
        case "file":
            folder.write_text("mine")
    assert open_column_cache(ColumnRoom(10**9, str(tmp_path))) is None


def test_by_default_it_lies_with_temporary_files_unless_these_are_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(column_cache.tempfile, "gettempdir", lambda: str(tmp_path / "a"))
    kinds = {"/": "ext4"}

    def partitions(**_):
        return [SimpleNamespace(mountpoint=at, fstype=kind) for at, kind in kinds.items()]

    monkeypatch.setattr(psutil, "disk_partitions", partitions)
    assert open_column_cache(ColumnRoom(10**9)) is not None
    kinds[str(tmp_path)] = "tmpfs"
    assert open_column_cache(ColumnRoom(10**9)) is None
    assert open_column_cache(ColumnRoom(10**9, str(tmp_path))) is not None, "who asks for it"


def test_it_takes_no_more_than_half_of_what_is_free(tmp_path, monkeypatch):
    usage = psutil.disk_usage(str(tmp_path))._replace(free=1000)
    monkeypatch.setattr(psutil, "disk_usage", lambda _: usage)
    assert open_column_cache(ColumnRoom(10**9, str(tmp_path)))._files.max_bytes == 500


def test_a_disk_that_is_full_makes_nothing_fail(open_file, folder, monkeypatch):
    cache = ColumnCache(folder, max_bytes=10**9)

    def fail(*_):
        raise OSError(28, "no space left on device")

    monkeypatch.setattr("beampipe.reading.kept_files.write_file", fail)
    assert load(open_file(), cache, "event")[0][0].tolist() == list(range(160))
    assert not files_in(folder)
