import boost_histogram as bh
import hist
import numpy as np
import pytest

from beampipe.execution.sketches import Sketch, add_sketches, sketch_output


def mass(n=60, **axis):
    return hist.Hist.new.Reg(n, 0, 120, name="mass", **axis).Double()


def test_the_first_histogram_in_two_dozen_groups():
    histogram = mass().fill([1.0, 3.0, 91.0, 91.5, 500.0, -1.0])
    sketch = sketch_output({"cuts": {"all": 3}, "muons": {"mass": histogram, "other": mass()}})
    assert sketch.name == "muons/mass"
    assert len(sketch.counts) == 24
    assert sum(sketch.counts) == 4  # without what lies under and over
    assert sketch.counts[0] == 2


def test_few_bins_stay_as_they_are_and_other_axes_are_added_up():
    histogram = hist.Hist.new.StrCat(["DY", "TT"]).Reg(3, 0, 3).Weight()
    histogram.fill(["DY", "TT", "TT"], [0.5, 0.5, 2.5], weight=[1, 2, 4])
    assert sketch_output(histogram) == Sketch("", (3.0, 0.0, 4.0))
    assert sketch_output({"h": bh.Histogram(bh.axis.Integer(0, 2))}).counts == (0.0, 0.0)


@pytest.mark.parametrize(
    "output",
    [
        None,
        {"n": 3},
        [mass()],
        {"categories": hist.Hist.new.StrCat(["a", "b"]).Double()},
        {"grows": mass(growth=True)},
        {"means": hist.Hist.new.Reg(5, 0, 1).Mean()},
        {"one bin": mass(1)},
        {"large": hist.Hist.new.Reg(1100, 0, 1).Reg(1100, 0, 1).Double()},
    ],
    ids=lambda output: next(iter(output)) if isinstance(output, dict) else type(output).__name__,
)
def test_nothing_is_drawn_that_would_mislead_or_take_long(output):
    assert sketch_output(output) is None


def test_what_cannot_be_drawn_does_not_hide_what_can():
    output = {"means": hist.Hist.new.Reg(5, 0, 1).Mean(), "mass": mass().fill([1.0])}
    assert sketch_output(output).name == "mass"


def test_a_histogram_that_refuses_costs_nothing_but_the_picture():
    class Shy(hist.Hist):
        def values(self, *, flow=False):
            raise ValueError(f"not now, {flow}")

    assert sketch_output({"m": Shy(hist.axis.Regular(5, 0, 1))}) is None


def test_the_value_is_left_as_it_is():
    histogram = mass().fill(np.linspace(0, 120, 1000))
    before = histogram.copy()
    sketch_output(histogram)
    assert histogram == before


def test_sketches_add_up_like_what_they_show():
    one, other = mass().fill([1.0, 50.0]), mass().fill([1.0])
    added = add_sketches(sketch_output({"m": one}), sketch_output({"m": other}))
    assert added == sketch_output({"m": one + other})
    assert add_sketches(None, added) == add_sketches(added, None) == added
    assert add_sketches(None, None) is None


def test_of_others_the_first_stays():
    first = Sketch("m", (1.0, 2.0))
    assert add_sketches(first, Sketch("n", (1.0, 2.0))) == first
    assert add_sketches(first, Sketch("m", (1.0, 2.0, 3.0))) == first


def test_a_line_of_blocks():
    assert Sketch("m", (0.0, 1.0, 50.0, 100.0)).draw() == " ▁▄█"
    assert Sketch("m", (-5.0, 10.0)).draw() == " █"  # negative weights
    assert Sketch("m", (0.0, -1.0)).draw() == Sketch("m", ()).draw() == ""
