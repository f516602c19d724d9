"""Differences in words."""

from beampipe.execution.identity.comparing import compare
from beampipe.execution.identity.model import Identity, Part


def test_values_are_shown_where_they_are_known():
    before = Identity({"constant CUT": Part("1", "20"), "function f": Part("a")})
    after = Identity({"constant CUT": Part("2", "25"), "function f": Part("b")})
    found = list(map(str, compare(before, after)))
    assert found == ["constant CUT: 20 → 25", "function f changed"]


def test_what_a_changed_function_newly_uses_goes_with_it():
    before = Identity({"function f": Part("a"), "constant OLD": Part("1")})
    after = Identity({"function f": Part("b"), "constant NEW": Part("1"), "input x": Part("2")})
    assert list(map(str, compare(before, after))) == ["function f changed", "input x is new"]


def test_what_is_new_or_gone_is_told_where_nothing_else_is():
    one, other = Identity({"module x": Part("1")}), Identity({})
    assert list(map(str, compare(one, other))) == ["module x is gone"]
    assert list(map(str, compare(other, one))) == ["module x is new"]
    assert compare(one, one) == ()
