import errno
import json
import threading
import zipfile

import hist
import numpy as np
import pytest

from beampipe.errors import ProcessorOutputError, RunFormatError, RunStorageError, TrustError
from beampipe.execution.manifest import Manifest
from beampipe.execution.partials import Partial
from beampipe.execution.segments import check_version, read_segment, write_segment


class OnlyPickle:
    """Has no open format."""

    def __add__(self, other):
        return self


@pytest.fixture
def written(tmp_path, make_partial, run_id, hostile_name):
    value = {hostile_name: np.arange(3.0), "n": 25, "\udcff": "bytes that are no UTF-8"}
    path = tmp_path / "000001.zip"
    write_segment(path, run_id=run_id, number=1, partial=make_partial(0, value=value))
    return path


def rewrite(path, change):
    """Change the manifest of a segment and leave everything else as it is."""
    with zipfile.ZipFile(path) as old:
        members = {name: old.read(name) for name in old.namelist()}
    data = json.loads(members["manifest.json"])
    change(data)
    members["manifest.json"] = json.dumps(data).encode()
    with zipfile.ZipFile(path, "w") as new:
        for name, text in members.items():
            new.writestr(name, text)


def test_a_segment_reads_back(written, make_partial, run_id, hostile_name):
    segment = read_segment(written, run_id=run_id)
    assert segment.number == 1
    assert segment.manifest == make_partial(0).manifest
    assert segment.metrics == {"s": 1.0}
    value = segment.read_value()
    assert value["n"] == 25
    assert value["\udcff"] == "bytes that are no UTF-8"
    assert value[hostile_name].tolist() == [0.0, 1.0, 2.0]


def test_the_same_partial_gives_the_same_bytes(tmp_path, make_partial, run_id):
    mass = hist.Hist.new.Reg(5, 0, 1).Weight().fill([0.5])
    for name in ("a.zip", "b.zip"):
        partial = make_partial(0, value={"mass": mass})
        write_segment(tmp_path / name, run_id=run_id, number=1, partial=partial)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_failures_alone_make_a_segment_without_a_value(tmp_path, make_partial, make_failed, run_id):
    path = tmp_path / "000001.zip"
    partial = make_partial(failed=(make_failed(),))
    write_segment(path, run_id=run_id, number=1, partial=partial)
    segment = read_segment(path, run_id=run_id)
    assert segment.manifest.failed == (make_failed(),)
    assert segment.read_value() is None
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["manifest.json"]


def test_numbers_of_numpy_are_refused_nowhere(tmp_path, run_id):
    """An entry range may come from a file's cluster table."""
    partial = Partial(Manifest("DY"), metrics={"s": np.float64(1.5)})
    write_segment(tmp_path / "x.zip", run_id=run_id, number=1, partial=partial)
    assert read_segment(tmp_path / "x.zip", run_id=run_id).metrics == {"s": 1.5}


def test_cut_short_anywhere_it_does_not_count(written, run_id):
    data = written.read_bytes()
    for length in range(len(data)):
        written.write_bytes(data[:length])
        assert read_segment(written, run_id=run_id) is None, length


def test_no_flipped_bit_changes_what_is_read(written, run_id):
    whole = read_segment(written, run_id=run_id)
    value = whole.read_value()
    data = bytearray(written.read_bytes())
    unnoticed = 0
    for place in range(len(data)):
        # All bits of a byte would take a minute, and one per byte meets every field.
        bit = 1 << (place % 8)
        data[place] ^= bit
        written.write_bytes(data)
        data[place] ^= bit
        segment = read_segment(written, run_id=run_id)
        if segment is not None:
            unnoticed += 1
            assert segment == whole
            assert str(segment.read_value()) == str(value)
    assert unnoticed < len(data) / 3  # times and attributes of members mean nothing here


def test_overwritten_parts_do_not_count(written, run_id):
    data = written.read_bytes()
    for start in range(0, len(data) - 16, 16):
        written.write_bytes(data[:start] + b"\0" * 16 + data[start + 16 :])
        segment = read_segment(written, run_id=run_id)
        assert segment is None or segment.read_value()["n"] == 25


@pytest.mark.parametrize("content", [b"", b"PK\5\6" + bytes(18), b"<html>", bytes(1000)])
def test_what_is_no_segment_does_not_count(written, run_id, content):
    written.write_bytes(content)
    assert read_segment(written, run_id=run_id) is None


def test_a_segment_of_another_run_does_not_count(written):
    assert read_segment(written, run_id="another") is None


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.pop("done"),
        lambda data: data.update(format="something else"),
        lambda data: data.update(done=[[1, 2]]),
        lambda data: data.update(segment="x"),
        lambda data: data["sha256"].update({"value/value.json": "0" * 64}),
        lambda data: data["sha256"].update({"value/more.json": "0" * 64}),
        lambda data: data["sha256"].pop("value/value.json"),
        lambda data: data.update(sha256=[]),
        lambda data: data.update(failed=[{"unknown": 1}]),
    ],
)
def test_a_manifest_that_makes_no_sense_does_not_count(written, run_id, change):
    rewrite(written, change)
    assert read_segment(written, run_id=run_id) is None


def test_a_member_too_many_does_not_count(written, run_id):
    with zipfile.ZipFile(written, "a") as archive:
        archive.writestr("value/pickles/0.pkl", b"cos\nsystem\n.")
    assert read_segment(written, run_id=run_id) is None


def test_a_newer_version_is_refused_and_its_writer_named(written, run_id):
    rewrite(written, lambda data: data.update(version=2, beampipe="9.1", done="in another form"))
    with pytest.raises(RunFormatError, match=r"version 2, written by Beampipe 9\.1"):
        read_segment(written, run_id=run_id)


@pytest.mark.parametrize("version", [None, 0, 2, "1", [1]])
def test_only_versions_that_are_known_are_read(tmp_path, version):
    data = {"format": "f"} if version is None else {"format": "f", "version": version}
    with pytest.raises(RunFormatError, match="a newer Beampipe"):
        check_version(data, "f", 1, tmp_path)
    check_version({"format": "f", "version": 1}, "f", 1, tmp_path)


def test_what_cannot_be_read_now_is_not_taken_for_torn(monkeypatch, written, run_id):
    def fail(*args):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(zipfile, "ZipFile", fail)
    with pytest.raises(RunStorageError, match="Cannot read .*000001.zip"):
        read_segment(written, run_id=run_id)


def test_a_file_that_is_not_there_is_an_error(tmp_path, run_id):
    with pytest.raises(RunStorageError, match="No such file"):
        read_segment(tmp_path / "000001.zip", run_id=run_id)


def test_pickles_are_loaded_with_trust_only(tmp_path, make_partial, run_id):
    path = tmp_path / "x.zip"
    write_segment(path, run_id=run_id, number=1, partial=make_partial(0, value=OnlyPickle()))
    segment = read_segment(path, run_id=run_id)
    with pytest.raises(TrustError, match="OnlyPickle"):
        segment.read_value()
    assert type(segment.read_value(trust=True)).__name__ == "OnlyPickle"


def test_a_value_that_cannot_be_stored_leaves_nothing(tmp_path, make_partial, run_id):
    partial = make_partial(0, value={"lock": threading.Lock()})
    with pytest.raises(ProcessorOutputError, match="lock"):
        write_segment(tmp_path / "x.zip", run_id=run_id, number=1, partial=partial)
    assert not list(tmp_path.iterdir())
