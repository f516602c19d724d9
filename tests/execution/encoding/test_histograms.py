import ctypes
import json
import math

import boost_histogram as bh
import hist
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

STORAGES = ["Double", "Int64", "AtomicInt64", "Unlimited", "Weight", "Mean", "WeightedMean"]
AXES = {
    "regular": lambda a: a.Regular(3, 0.1, 0.7),
    "regular, no flow": lambda a: a.Regular(3, 0, 3, underflow=False, overflow=False),
    "regular, overflow only": lambda a: a.Regular(3, 0, 3, underflow=False),
    "regular, growing": lambda a: a.Regular(3, 0, 3, growth=True),
    "regular, circular": lambda a: a.Regular(3, 0, 2 * math.pi, circular=True),
    "logarithmic": lambda a: a.Regular(5, 1e-3, 7e3, transform=bh.axis.transform.log),
    "square root": lambda a: a.Regular(5, 0.3, 7, transform=bh.axis.transform.sqrt),
    "power": lambda a: a.Regular(5, 1, 7, transform=bh.axis.transform.Pow(0.5)),
    "variable": lambda a: a.Variable([0.1, 0.2, 7.7]),
    "variable, unbounded": lambda a: a.Variable([-math.inf, 0, math.inf]),
    "variable, growing": lambda a: a.Variable([0, 1, 3], growth=True),
    "variable, circular": lambda a: a.Variable([0, 1, 3], circular=True),
    "integer": lambda a: a.Integer(-3, 4),
    "integer, growing": lambda a: a.Integer(0, 2, growth=True),
    "integer, circular": lambda a: a.Integer(0, 2, circular=True),
    "integer, no flow": lambda a: a.Integer(0, 2, underflow=False, overflow=False),
    "integer categories": lambda a: a.IntCategory([7, -3, 11]),
    "integer categories, growing": lambda a: a.IntCategory([7, -3], growth=True),
    "names": lambda a: a.StrCategory(["Z → µµ", "", "'x' \"q\""]),
    "names, growing": lambda a: a.StrCategory(["b", "a"], growth=True),
    "names, none yet": lambda a: a.StrCategory([], growth=True),
    "boolean": lambda a: a.Boolean(),
}


def square(x):
    return x * x


def compile_transform(function):
    return ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(function)


def filled(h, seed=1):
    """Put something else into every bin, flow included."""
    view = np.asarray(h.view(flow=True))
    rng = np.random.default_rng(seed)
    if h.storage_type.__name__ == "Unlimited":
        h[...] = rng.integers(0, 100, view.shape)
        return h
    for field in view.dtype.names or [...]:
        view[field] = 100 * rng.random(view.shape)
    return h


def assert_same(one, two):
    assert type(one) is type(two)
    assert one == two
    assert one.storage_type is two.storage_type
    assert one.__dict__ == two.__dict__
    for left, right in zip(one.axes, two.axes, strict=True):
        assert type(left) is type(right)
        assert left == right
        assert left.traits == right.traits
        assert left.__dict__ == right.__dict__
        assert np.array_equal(left.edges, right.edges)
    bins = np.asarray(one.view(flow=True)), np.asarray(two.view(flow=True))
    assert bins[0].dtype == bins[1].dtype
    assert bins[0].tobytes() == bins[1].tobytes()
    assert repr(one) == repr(two)


@pytest.mark.parametrize("package", [hist, bh], ids=["hist", "boost_histogram"])
@pytest.mark.parametrize("axis", AXES.values(), ids=AXES)
@pytest.mark.parametrize("storage", ["Double", "Mean"])
def test_every_axis_comes_back(package, axis, storage, round_trip):
    cls = hist.Hist if package is hist else bh.Histogram
    h = filled(cls(axis(package.axis), storage=getattr(package.storage, storage)()))
    back = round_trip({"h": h})["h"]
    assert_same(back, h)
    assert (back + h).sum(flow=True) == (h + h).sum(flow=True)


@pytest.mark.parametrize("storage", STORAGES)
def test_every_storage_comes_back_to_the_bit(storage, round_trip):
    h = hist.Hist(
        hist.axis.StrCategory(["a"], growth=True, name="channel", label="Channel"),
        hist.axis.Regular(5, 0, 1, name="x", label="$x$ [GeV]"),
        hist.axis.Boolean(name="ok"),
        storage=getattr(hist.storage, storage)(),
        name="mass",
        label="µµ",
    )
    back = round_trip(filled(h))
    assert_same(back, h)
    assert back.name == "mass"
    assert back.label == "µµ"
    assert back.axes["x"].label == "$x$ [GeV]"


@pytest.mark.parametrize("storage", ["Double", "Weight", "WeightedMean"])
def test_real_fills_come_back_and_go_on(storage, round_trip):
    h = hist.Hist(
        hist.axis.StrCategory([], growth=True),
        hist.axis.Regular(10, 0, 1),
        storage=getattr(hist.storage, storage)(),
    )
    extra = {"sample": [1.0, 2.0, 3.0]} if "Mean" in storage else {}
    h.fill(["a", "b", "a"], [0.1, 0.5, 7], weight=[0.1, -0.3, 1e30], **extra)
    back = round_trip(h)
    assert_same(back, h)
    for one in (back, h):
        one.fill("c", 0.3, weight=0.7, **({"sample": 1} if extra else {}))
    assert_same(back, h)
    assert_same(back + h, h + back)


@pytest.mark.parametrize("special", [-0.0, math.inf, 5e-324])
def test_special_numbers_in_bins_come_back(special, round_trip):
    h = hist.Hist(hist.axis.Regular(2, 0, 1))
    h.view(flow=True)[...] = special
    assert_same(round_trip(h), h)


def test_no_axes(round_trip):
    h = hist.Hist()
    h.fill()
    assert_same(round_trip(h), h)


def test_named_histograms_stay_named(round_trip):
    h = hist.NamedHist(hist.axis.Regular(2, 0, 1, name="x"))
    h.fill(x=[0.1])
    assert_same(round_trip(h), h)


def test_metadata_of_any_kind_comes_back(store):
    h = hist.Hist(hist.axis.Regular(2, 0, 1, metadata={"µ": (1, None)}), metadata=[1.5, None])
    h.axes[0].note = "attached"
    archive = store(h)
    assert archive.is_open
    back = archive.read()
    assert_same(back, h)
    assert back.axes[0].metadata == {"µ": (1, None)}
    assert back.axes[0].note == "attached"
    assert back.metadata == [1.5, None]


def test_metadata_that_is_an_array_comes_back(round_trip):
    h = hist.Hist(hist.axis.Regular(2, 0, 1, metadata=np.zeros(3)))
    assert round_trip(h).axes[0].metadata.tolist() == [0, 0, 0]


def test_metadata_of_a_users_type_needs_pickle(store):
    h = hist.Hist(hist.axis.Regular(2, 0, 1, metadata=OwnHist))
    archive = store(h)
    assert not archive.is_open
    assert archive.read(trust=True).axes[0].metadata is OwnHist


def test_a_label_that_hist_would_add_is_not_added(store):
    h = hist.Hist(hist.axis.StrCategory(["a"], growth=True), hist.axis.Regular(2, 0, 1))
    for axis in h.axes:
        axis.label = ""
    back = store(h).read(trust=True)
    assert_same(back, h)


def test_scaled_histograms_still_know_that_their_variance_is_unknown(round_trip):
    h = hist.Hist(hist.axis.Regular(2, 0, 1)).fill([0.1]) * 2
    assert h.variances() is None
    assert round_trip(h).variances() is None


@pytest.mark.parametrize(
    "h",
    [
        bh.Histogram(bh.axis.Regular(2, 0, 1), storage=bh.storage.MultiCell(3)),
        bh.Histogram(
            bh.axis.Regular(
                2,
                1,
                4,
                transform=bh.axis.transform.Function(
                    math.sqrt, square, convert=compile_transform, name="log"
                ),
            )
        ),
    ],
)
def test_what_has_no_open_form_needs_pickle(h, store):
    archive = store(h)
    assert not archive.is_open
    assert archive.read(trust=True) == h


class OwnHist(hist.Hist, family=hist):
    """A user's subclass."""


def test_a_subclass_needs_pickle(store):
    h = OwnHist(hist.axis.Regular(2, 0, 1))
    archive = store(h)
    assert not archive.is_open
    assert type(archive.read(trust=True)) is OwnHist


def test_an_unlimited_storage_beyond_doubles_needs_pickle(store):
    h = bh.Histogram(bh.axis.Integer(0, 1), storage=bh.storage.Unlimited()).fill([0])
    while h.sum() < 2.0**54:
        h += h.copy()
    assert not store(h).is_open


def test_axes_are_written_as_uhi_writes_them(store):
    archive = store(hist.Hist(hist.axis.Regular(4, 0, 2, name="x"), storage=hist.storage.Weight()))
    node = json.loads(archive.member("value/value.json"))["value"]
    assert node["class"] == "hist.Hist"
    assert node["uhi"]["uhi_schema"] == 1
    assert node["uhi"]["storage"] == {"type": "weighted"}
    (axis,) = node["uhi"]["axes"]
    assert (axis["type"], axis["bins"], axis["lower"], axis["upper"]) == ("regular", 4, 0, 2)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(
    st.integers(1, 100),
    st.floats(-1e12, 1e12),
    st.floats(1e-9, 1e12),
    st.sampled_from([None, "log", "sqrt"]),
)
def test_limits_come_back_to_the_last_bit(store, bins, lower, width, transform):
    if transform is not None:
        lower = abs(lower) + 1e-6
    if (lower + width) - lower < abs(lower) * 1e-9:
        return
    kind = getattr(bh.axis.transform, transform) if transform else None
    h = bh.Histogram(bh.axis.Regular(bins, lower, lower + width, transform=kind))
    back = store(h).read(trust=True)
    assert back == h
    assert np.array_equal(back.axes[0].edges, h.axes[0].edges)
    assert (back + h).sum() == 0  # which two axes that differ in the last bit refuse
