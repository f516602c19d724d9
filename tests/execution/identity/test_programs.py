"""Functions and what they refer to."""

import types

from beampipe.execution.identity.describe import describe
from beampipe.execution.identity.walk import Walk


def parts_of(source, name="f"):
    space = {"__name__": "made_here"}
    exec(source, space)  # noqa: S102
    walk = Walk(describe, "made_here")
    walk.value(space[name])
    return {name: part.digest for name, part in walk.parts.items()}


def test_names_of_places_do_not_matter():
    source = "def f():\n    return __name__, __file__"
    assert list(parts_of(source)) == ["function f"]


def test_a_global_that_comes_later_matters():
    source = "def f():\n    return later"
    assert parts_of(source) != parts_of(f"{source}\nlater = 1")
    assert parts_of(f"{source}\nlater = 1") != parts_of(f"{source}\nlater = 2")


def test_attributes_of_a_function_matter():
    source = "def f():\n    return f.cut\nf.cut = 3"
    assert parts_of(source) != parts_of(source.replace("3", "4"))


def test_one_value_under_two_names_is_two_parts():
    found = parts_of("A = [1]\nB = A\ndef f():\n    return A, B")
    assert {"constant A", "constant B"} <= found.keys()


def test_installed_functions_go_by_their_name():
    walk = Walk(describe)
    walk.value(types.new_class)
    walk.value(len)
    assert walk.parts == {}
    assert walk.packages == {"types", "builtins"}
