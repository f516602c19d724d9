from __future__ import annotations

import gc

import numpy as np
import pytest
from uproot.containers import AsString
from uproot.interpretation.grouped import AsGrouped
from uproot.interpretation.jagged import AsJagged
from uproot.interpretation.numerical import AsDouble32, AsDtype, AsFloat16
from uproot.interpretation.objects import AsObjects, AsStridedObjects
from uproot.interpretation.strings import AsStrings

from beampipe.reading.index.template import LayoutTemplate, can_interpret
from beampipe.reading.layouts import layout_key


class Inherited(AsDtype):
    """Somebody's own."""


@pytest.mark.parametrize(
    ("interpretation", "can"),
    [
        (AsDtype(">f4"), True),
        (AsDtype([("x", ">f4"), ("y", ">i2")]), True),
        (AsDouble32(0.0, 0.0, 10), True),
        (AsFloat16(-1.0, 1.0, 8), True),
        (AsJagged(AsDtype(">u8")), True),
        (AsJagged(AsDtype(">f4"), header_bytes=10), True),
        (AsJagged(AsFloat16(0.0, 0.0, 12)), True),
        (AsStrings(), True),
        (AsStrings(header_bytes=6, length_bytes="4"), True),
        (Inherited(">f4"), False),
        (AsJagged(Inherited(">f4")), False),
        (AsObjects(AsString(header=False)), False),
        (AsStridedObjects(None, [("x", np.dtype(">f8"))]), False),
        (AsGrouped(None, {}), False),
        (ValueError("no interpretation was found"), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_only_what_needs_nothing_but_bytes_is_taken(interpretation, can):
    assert can_interpret(interpretation) is can


def test_a_branch_is_found_by_all_its_names(index_file, write_types):
    opened, _, template = index_file(write_types())
    for position, branch in enumerate(opened.tree.itervalues(recursive=True)):
        for name in (branch.name, f"/{branch.name}"):
            assert opened.tree[name] is branch
            column = template.find(name)
            assert column.position == position
            assert column.interpretation is branch.interpretation
    assert template.find("no such thing") is None
    assert template.left_out == ()


def test_lists_know_what_counts_them(index_file, write_types):
    *_, template = index_file(write_types())
    assert template.find("lists_f4").counter is not None
    assert template.find("lists_f4").counter.name == "nlists_f4"
    assert template.find("nlists_f4").counter is None
    assert template.find("flat_f4").counter is None


def test_it_is_of_a_layout(index_file, write_types):
    opened, index, template = index_file(write_types())
    assert template.layout == index.layout == layout_key(opened)


def test_it_holds_no_file(index_file, write_types):
    opened, _, _ = index_file(write_types())
    template = LayoutTemplate(opened)
    seen, todo = set(), [template]
    while todo:  # all that can be reached from it
        one = todo.pop()
        if id(one) not in seen and not isinstance(one, type) and not hasattr(one, "__globals__"):
            seen.add(id(one))
            todo += gc.get_referents(one)
    assert id(opened.tree.file) not in seen
    assert id(opened.tree) not in seen
    assert len(seen) > 100


def test_a_name_means_the_branch_that_the_tree_gives(index_file, twins):
    found = index_file(twins)
    assert found.read("one_a", 0, 3).to_list() == found.tree["one_a"].array().to_list()
    assert found.template.find("/one_a") is found.template.find("one_a")
