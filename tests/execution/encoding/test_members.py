import io
import tracemalloc
import zipfile

import numpy as np
import pytest

from beampipe.execution.encoding.members import MemberReader, MemberWriter

RNG = np.random.default_rng(1)


def write(array, prefix="a b/µ"):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        number = MemberWriter(archive, prefix).write_array(array)
    return zipfile.ZipFile(stream), number


def test_members_are_numbered_under_their_prefix():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        writer = MemberWriter(archive, "by_dataset/0")
        assert writer.write_array(np.zeros(2)) == 0
        assert writer.write_array(np.zeros(2)) == 1
        assert writer.write_pickle(b"...") == 0
        writer.write_json("value.json", {"a": "µ"})
    with zipfile.ZipFile(stream) as archive:
        assert archive.namelist() == [
            "by_dataset/0/arrays/0.npy",
            "by_dataset/0/arrays/1.npy",
            "by_dataset/0/pickles/0.pkl",
            "by_dataset/0/value.json",
        ]
        reader = MemberReader(archive, "by_dataset/0")
        assert reader.read_pickle(0) == b"..."
        assert reader.read_json("value.json") == {"a": "µ"}


@pytest.mark.parametrize(
    ("array", "deflated"),
    [
        (np.zeros((500, 500)), True),
        (np.eye(200), True),
        (np.asfortranarray(np.eye(200)), True),
        (RNG.random((200, 200)), False),
        (np.ones(10_000), False),
        (np.zeros(3), False),  # too small to bother
        (np.zeros((100, 100))[::2, ::2], False),  # scattered in memory
    ],
)
def test_what_is_mostly_zero_is_deflated(array, deflated):
    archive, number = write(array)
    (info,) = archive.infolist()
    assert (info.compress_type == zipfile.ZIP_DEFLATED) == deflated
    back = MemberReader(archive, "a b/µ").read_array(number)
    assert np.array_equal(back, array)


def test_members_can_be_unpacked_by_anybody():
    archive, _ = write(np.zeros(5))
    (info,) = archive.infolist()
    assert info.external_attr >> 16 == 0o644
    assert info.date_time == (1980, 1, 1, 0, 0, 0)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("target_order", ["C", "F"])
def test_reading_into_memory_that_is_there(order, target_order):
    array = np.array(RNG.random((7, 5, 3)), order=order)
    target = np.zeros(array.shape, order=target_order)
    archive, number = write(array)
    MemberReader(archive, "a b/µ").read_array_into(number, target)
    assert np.array_equal(target, array)


def test_reading_into_another_type_converts():
    archive, number = write(np.arange(4))
    target = np.zeros(4)
    MemberReader(archive, "a b/µ").read_array_into(number, target)
    assert target.tolist() == [0, 1, 2, 3]


def test_an_empty_array_is_read_into():
    archive, number = write(np.zeros((0, 3)))
    MemberReader(archive, "a b/µ").read_array_into(number, np.zeros((0, 3)))


def test_a_short_member_is_noticed():
    whole, number = write(np.arange(100.0))
    data = whole.read("a b/µ/arrays/0.npy")
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a b/µ/arrays/0.npy", data[:-8])
    reader = MemberReader(zipfile.ZipFile(stream), "a b/µ")
    with pytest.raises(EOFError, match="8 bytes"):
        reader.read_array_into(number, np.zeros(100))


def test_a_pickle_hidden_in_an_array_is_not_loaded():
    data = io.BytesIO()
    np.save(data, np.array([print], object), allow_pickle=True)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("v/arrays/0.npy", data.getvalue())
    reader = MemberReader(zipfile.ZipFile(stream), "v")
    with pytest.raises(ValueError, match="allow_pickle"):
        reader.read_array(0)
    with pytest.raises((ValueError, TypeError)):
        reader.read_array_into(0, np.array([None], object))


@pytest.mark.parametrize("array", [np.full((2000, 2000), 1.5), np.zeros((2000, 2000), order="F")])
def test_a_large_array_is_never_copied(array, tmp_path):
    path = tmp_path / "Z → µµ 'x'.zip"
    target = np.zeros_like(array)
    tracemalloc.start()
    with zipfile.ZipFile(path, "w") as archive:
        MemberWriter(archive, "v").write_array(array)
    with zipfile.ZipFile(path) as archive:
        MemberReader(archive, "v").read_array_into(0, target)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.array_equal(target, array)
    assert peak < array.nbytes / 4


def test_sizes_beyond_4_gib_are_announced(monkeypatch):
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 1000)
    archive, number = write(RNG.random(1000))
    assert MemberReader(archive, "a b/µ").read_array(number).shape == (1000,)
