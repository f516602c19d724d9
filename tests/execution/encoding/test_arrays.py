import io

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.extra import numpy as hnp

ARRAYS = {
    "empty": np.zeros((0, 3)),
    "nothing deep": np.array(3.5),
    "bool": np.array([True, False]),
    "half": np.float16([1.5, np.nan]),
    "long double": np.longdouble([1, 3]) / 3,
    "complex": np.array([1 + 2j], np.complex64),
    "big endian": np.array([1, 2], ">i4"),
    "dates": np.array(["2026-01-01", "NaT"], "M8[D]"),
    "durations": np.array([1, 2], "m8[ns]"),
    "text": np.array(["µ", "Z → µµ"]),
    "bytes": np.array([b"a", b"bcd"]),
    "columns first": np.asfortranarray(np.arange(6).reshape(2, 3)),
    "every other": np.arange(10)[::2],
    "turned": np.arange(24).reshape(2, 3, 4).transpose(1, 0, 2),
    "mostly zero": np.eye(300),
    "structured": np.array([(1, 2.5)], [("n", "i4"), ("x", "f8")]),
    "structured, padded": np.zeros(3, np.dtype([("a", "i1"), ("b", "f8")], align=True)),
    "structured, named µ": np.array([(1,)], [("µ", "i4")]),
    "nested": np.zeros(2, [("p", [("x", "f4"), ("y", "f4")]), ("v", "i2", (3,))]),
    "void": np.zeros(2, "V5"),
}


@pytest.mark.parametrize("array", ARRAYS.values(), ids=ARRAYS)
def test_arrays_come_back_the_same(array, round_trip):
    back = round_trip({"a": array})["a"]
    assert type(back) is np.ndarray
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    assert back.tobytes() == array.tobytes()
    assert back.flags.writeable


@pytest.mark.parametrize(
    "array",
    [
        np.array([1, "a", None], object),
        np.ma.masked_array([1, 2], [True, False]),
        np.rec.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
    ],
    ids=["object", "masked", "record array"],
)
def test_arrays_that_are_more_need_pickle(array, store):
    archive = store(array)
    assert not archive.is_open
    back = archive.read(trust=True)
    assert type(back) is type(array)
    assert back.tolist() == array.tolist()


def test_a_type_with_metadata_needs_pickle(store):
    assert not store(np.zeros(2, np.dtype("i4", metadata={"a": 1}))).is_open


@pytest.mark.parametrize(
    "scalar",
    [
        np.float32(0.1),
        np.float64(-0.0),
        np.longdouble(1) / 3,
        np.int8(-5),
        np.uint64(2**64 - 1),
        np.bool_(True),  # noqa: FBT003
        np.complex64(1 + 2j),
        np.str_("Z → µµ"),
        np.str_(""),
        np.bytes_(b"\x00a"),
        np.datetime64("2026-11-01T00:00", "ns"),
        np.datetime64("NaT"),
        np.timedelta64(5, "s"),
        np.array([(1, 2.5)], [("n", "i4"), ("x", "f8")])[0],
    ],
    ids=repr,
)
def test_scalars_come_back_the_same(scalar, round_trip):
    back = round_trip([scalar])[0]
    assert type(back) is type(scalar)
    assert back.dtype == scalar.dtype
    assert back.tobytes() == scalar.tobytes()


def test_a_scalar_not_a_number_comes_back(round_trip):
    assert np.isnan(round_trip(np.float32("nan")))


@pytest.mark.parametrize("scalar", [np.str_("a\0"), np.bytes_(b"a\0"), np.str_("\ud800")])
def test_text_that_an_array_or_pickle_would_cut_comes_back(scalar, round_trip):
    back = round_trip(scalar)
    assert back == scalar
    assert len(back) == len(scalar)
    assert type(back) is type(scalar)


def test_an_array_is_read_without_us(store):
    archive = store({"a": np.arange(6.0).reshape(2, 3)})
    stored = np.load(io.BytesIO(archive.member("value/arrays/0.npy")), allow_pickle=False)
    assert stored.tolist() == [[0, 1, 2], [3, 4, 5]]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    hnp.arrays(
        hnp.scalar_dtypes() | hnp.unicode_string_dtypes() | hnp.array_dtypes(allow_subarrays=False),
        hnp.array_shapes(min_dims=0, min_side=0, max_side=4),
    )
)
def test_any_array_comes_back_to_the_bit(round_trip, array):
    back = round_trip(array)
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    assert back.tobytes() == array.tobytes()
