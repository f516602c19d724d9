"""The way through: parts with names of their own."""

from beampipe.execution.identity.describe import describe
from beampipe.execution.identity.walk import Walk, show_value


def test_two_functions_of_one_name_are_two_parts():
    def make(value):
        return lambda x: x + value

    walk = Walk(describe, __name__)
    one, two = make(1), make(2)
    assert walk.value([one, two]) != walk.value([one, one])
    names = [name for name in walk.parts if name.startswith("function")]
    assert len(names) == 2
    assert names[1] == f"{names[0]} #2"


def test_functions_that_call_each_other_end():
    space = {"__name__": "made_here"}
    exec("def a(x): return b(x)\ndef b(x): return a(x)", space)  # noqa: S102
    walk = Walk(describe, "made_here")
    walk.value(space["a"])
    assert {"function a", "function b"} <= walk.parts.keys()


def test_what_cannot_be_compared_spoils_only_its_part():
    walk = Walk(describe)
    walk.named(walk, "x", "constant x", (one for one in "ab"))
    walk.named(walk, "y", "constant y", 3)
    assert list(walk.unhashable) == ["constant x"]
    assert walk.parts["constant y"].shown == "3"


def test_only_short_and_plain_values_are_shown():
    assert show_value("CUT", 20) == "20"
    assert show_value("EDGES", (1, 2.5)) == "(1, 2.5)"
    assert show_value("LONG", "x" * 100) == ""
    assert show_value("api_key", "hush") == ""
    assert show_value("THING", object()) == ""
    assert "hush" not in show_value("URL", "https://me:hush@host/x")
