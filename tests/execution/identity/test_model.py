"""Identities as values."""

from hypothesis import given
from hypothesis import strategies as st

from beampipe.execution.identity.model import Identity, Part, combine

PARTS = st.dictionaries(st.text(), st.builds(Part, st.text("0123456789abcdef", max_size=4)))


@given(st.lists(st.binary()), st.lists(st.binary()))
def test_no_two_lists_of_bytes_have_one_digest(one, other):
    assert (combine("x", *one) == combine("x", *other)) is (one == other)
    assert combine("x", *one) != combine("y", *one)


@given(PARTS, PARTS)
def test_identities_are_equal_when_their_parts_are(one, other):
    same = {k: v.digest for k, v in one.items()} == {k: v.digest for k, v in other.items()}
    assert (Identity(one).digest == Identity(other).digest) is same


def test_what_cannot_be_compared_takes_the_digest_away():
    parts = {"a": Part("1")}
    assert Identity(parts).digest
    assert Identity(parts, unhashable={"b": "a lock"}).digest == ""


@given(PARTS)
def test_it_comes_back_from_json(parts):
    identity = Identity(parts, {"x": "y"}, {"DY": "1"}, "analysis")
    assert Identity.from_json(identity.to_json()) == identity
