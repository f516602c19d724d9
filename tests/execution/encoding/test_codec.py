import io
import json
import re
import zipfile
from pathlib import Path, PurePosixPath

import awkward as ak
import hist
import numpy as np
import pytest
from coffea.processor import column_accumulator

from beampipe.errors import ProcessorOutputError, RunFormatError, TrustError
from beampipe.execution.encoding import arrays, needs_pickle, plain, read_value, write_value


class Own:
    """A user's object."""

    def __init__(self, n):
        self.n = n

    def __add__(self, other):
        return Own(self.n + other.n)


class Armed:
    """What somebody could hide in a pickle."""

    fired = False

    @classmethod
    def fire(cls):
        cls.fired = True

    def __reduce__(self):
        return Armed.fire, ()


def write_raw(document, **members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("value/value.json", json.dumps(document))
        for name, data in members.items():
            archive.writestr(name, data)
    return zipfile.ZipFile(stream)


def wrap(tree):
    return {"format": "beampipe-value", "version": 1, "value": tree}


def make_output():
    return {
        "Z → µµ 'x' \"q\"": {
            "mass": hist.Hist.new.Reg(10, 0, 1, name="m").Weight().fill([0.5], weight=0.3),
            "n": np.int64(5),
            "pt": column_accumulator(np.arange(3.0)),
            "jets": ak.Array([[1], []]),
        }
    }


def test_an_analysis_comes_back(round_trip):
    value = make_output()
    back = round_trip(value)["Z → µµ 'x' \"q\""]
    (value,) = value.values()
    assert back["mass"] == value["mass"]
    assert back["n"] == 5
    assert back["pt"].value.tolist() == [0, 1, 2]
    assert back["jets"].to_list() == [[1], []]


def test_the_same_value_gives_the_same_bytes(store):
    assert store(make_output()).data == store(make_output()).data


def test_several_values_share_an_archive(tmp_path):
    path = tmp_path / "Z → µµ 'x'.zip"
    with zipfile.ZipFile(path, "w") as archive:
        write_value(archive, "by_dataset/1", {"a": np.ones(2)})
        write_value(archive, "by_dataset/10", Own(3))
    with zipfile.ZipFile(path) as archive:
        assert not needs_pickle(archive, "by_dataset/1")
        assert needs_pickle(archive, "by_dataset/10")
        assert read_value(archive, "by_dataset/1")["a"].tolist() == [1, 1]
        assert read_value(archive, "by_dataset/10", trust=True).n == 3


def test_pickle_is_marked_and_waits_for_trust(store):
    archive = store({"a": 1, "own": Own(7)})
    assert not archive.is_open
    with pytest.raises(TrustError, match="Own") as caught:
        archive.read()
    assert caught.value.type.endswith("Own")
    assert archive.read(trust=True)["own"].n == 7
    assert archive.read(trust=True)["a"] == 1


def test_nothing_is_run_without_trust(store):
    archive = store([Armed()])
    with pytest.raises(TrustError):
        archive.read()
    assert not Armed.fired
    archive.read(trust=True)
    assert Armed.fired


def test_types_without_an_open_form_come_back(store):
    assert store(PurePosixPath("/µ")).read(trust=True) == PurePosixPath("/µ")
    assert store(lambda x: x + 1).read(trust=True)(1) == 2


def test_the_same_object_twice_is_no_circle(round_trip):
    inner = {"n": [1]}
    assert round_trip([inner, inner, (inner,)]) == [inner, inner, (inner,)]


def make_circle_of_lists():
    value = [1]
    value.append({"a": value})
    return value


def make_circle_of_dicts():
    value = {}
    value["self"] = (value,)
    return value


@pytest.mark.parametrize("make", [make_circle_of_lists, make_circle_of_dicts])
def test_a_circle_is_refused(make, store):
    with pytest.raises(ProcessorOutputError, match="contains itself"):
        store(make())


def test_a_value_without_end_is_refused(store):
    value = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(ProcessorOutputError, match="too deeply"):
        store(value)


def test_what_cannot_be_pickled_is_refused_by_name(store):
    with pytest.raises(ProcessorOutputError, match="generator") as caught:
        store({"a": (i for i in range(3))})
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize(
    "document",
    [
        {"format": "beampipe-value", "version": 2, "value": 1},
        {"format": "other", "version": 1, "value": 1},
        wrap({"kind": "hologram"}),
        wrap([1, {"kind": "hologram"}]),
        wrap({"no kind": 1}),
        wrap({"kind": "array", "array": 0}),
        wrap({"kind": "int", "hex": "zz"}),
        wrap({"kind": "numpy-scalar", "dtype": "<f8", "hex": "00"}),
        wrap({"kind": "defaultdict", "items": [], "factory": "exec"}),
        wrap({"kind": "coffea.Accumulatable", "value": 1}),
        wrap(
            {"kind": "histogram", "class": "os.system", "uhi": {"axes": []}, "axis_attributes": []}
        ),
        {},
        [],
    ],
)
def test_unknown_and_damaged_trees_are_refused(document):
    with pytest.raises(RunFormatError):
        read_value(write_raw(document), "value", trust=True)


def test_a_newer_version_is_named():
    with pytest.raises(RunFormatError, match="version 2") as caught:
        read_value(write_raw({"format": "beampipe-value", "version": 2}), "value")
    assert "newer" in caught.value.fix or "at least as new" in caught.value.fix


def test_a_missing_value_is_refused():
    with pytest.raises(RunFormatError, match="elsewhere"):
        read_value(write_raw({}), "elsewhere")


def test_a_broken_pickle_is_refused():
    tree = wrap({"kind": "pickle", "type": "lost.Type", "pickle": 0})
    archive = write_raw(tree, **{"value/pickles/0.pkl": b"clost\nType\n."})
    with pytest.raises(RunFormatError, match=r"lost\.Type"):
        read_value(archive, "value", trust=True)


def test_a_flipped_byte_is_noticed(store):
    archive = store({"a": np.random.default_rng(1).random(1000)})
    data = bytearray(archive.data)
    data[4000] ^= 1
    with zipfile.ZipFile(io.BytesIO(data)) as damaged, pytest.raises(RunFormatError, match="CRC"):
        read_value(damaged, "value")


def test_the_documented_reader_needs_nothing_of_ours(tmp_path):
    page = Path(__file__).parents[3] / "docs" / "reference" / "run-format.md"
    (program,) = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    names = {}
    exec(program, names)  # noqa: S102
    path = tmp_path / "Z → µµ 'x'.zip"
    h = hist.Hist.new.Reg(4, 0, 2, name="m").Weight().fill([0.1, 9], weight=0.3)
    value = {"DY": {"mass": h, "n": np.int64(5), "pt": np.arange(3.0), "cuts": [1, 2.5]}}
    with zipfile.ZipFile(path, "w") as archive:
        write_value(archive, "value", value)
    found = names["read"](path)["DY"]
    axes, bins = found["mass"]
    assert (axes[0]["lower"], axes[0]["upper"], axes[0]["bins"]) == (0, 2, 4)
    assert bins["value"].tolist() == [0, 0.3, 0, 0, 0, 0.3]
    assert found["n"] == 5
    assert found["pt"].tolist() == [0, 1, 2]
    assert found["cuts"] == [1, 2.5]


def test_every_kind_is_documented():
    page = Path(__file__).parents[3] / "docs" / "reference" / "run-format.md"
    text = page.read_text(encoding="utf-8")
    for kind in (*plain.DECODERS, *arrays.DECODERS, "histogram", "awkward", "pickle"):
        assert f"`{kind}`" in text, kind
