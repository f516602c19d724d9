import threading

import hist
import numpy as np
import pytest

from beampipe.errors import ProcessorOutputError
from beampipe.execution.output_ties import check_can_travel, check_is_new, materialize


class Stubborn:
    """Can be added, and cannot be pickled."""

    def __init__(self):
        self.lock = threading.Lock()

    def __add__(self, other):
        return self


@pytest.mark.parametrize("wrap", [lambda x: {"a": {"b": x}}, lambda x: {"a": {"b": [x]}}])
def test_an_output_that_cannot_leave_the_worker_is_named_there(wrap):
    with pytest.raises(ProcessorOutputError, match=r'output\["a"\]\["b"\]') as caught:
        check_can_travel(wrap(Stubborn()))
    assert "lock" in caught.value.why


def test_what_can_travel_is_let_through():
    check_can_travel(
        {
            "h": hist.Hist.new.Reg(2, 0, 1).Double(),
            "n": 1,
            "x": np.zeros(3),
            "s": {1, 2},
            "t": ("a", None),
            "f": np.float32(1),
        }
    )


def test_the_same_object_twice_is_refused():
    kept = hist.Hist.new.Reg(2, 0, 1).Double()
    check_is_new(None, {"h": kept})
    check_is_new({"h": hist.Hist.new.Reg(2, 0, 1).Double()}, {"h": kept})
    with pytest.raises(ProcessorOutputError, match="same object"):
        check_is_new({"h": kept}, {"h": kept})


def test_what_is_no_column_is_left_as_it_is():
    output = {"n": 1, "deep": {"list": [1, 2], "x": np.ones(2)}}
    assert materialize(output) is output
