"""Classes and instances (whole analyses: test_identify.py)."""

import enum
import functools
import logging

from beampipe.execution.identity.describe import describe
from beampipe.execution.identity.walk import Walk


def digest(value):
    walk = Walk(describe, "made_here")
    found = walk.value(value)
    assert walk.unhashable == {}
    pairs = {name: part.digest for name, part in walk.parts.items()}
    return found, pairs


def made(source, name="C"):
    space = {"__name__": "made_here", "functools": functools, "enum": enum}
    exec(source, space)  # noqa: S102
    return space[name]


SOURCE = """
class Meta(type):
    x = 1
class B:
    limit = 2
class C(B, metaclass=Meta):
    '''Words.'''
    __slots__ = ("a",)
    @functools.cached_property
    def total(self): return 1
    @classmethod
    def make(cls): return cls()
    half = functools.partialmethod(print, 0.5)
    class Inner:
        depth = 3
"""


def test_every_part_of_a_class_matters():
    first = digest(made(SOURCE))
    assert digest(made(SOURCE)) == first
    assert digest(made(SOURCE.replace("Words", "Other words"))) == first
    for old, new in (
        ("x = 1", "x = 2"),
        ("limit = 2", "limit = 3"),
        ("return 1", "return 2"),
        ("return cls()", "return cls"),
        ("0.5", "0.6"),
        ("depth = 3", "depth = 4"),
    ):
        assert digest(made(SOURCE.replace(old, new))) != first


def test_state_in_slots_and_dictionaries_matters_and_its_order_does_not():
    cls = made(SOURCE)
    one, other = cls(), cls()
    one.a, one.b, one.c = 1, 2, 3
    other.c, other.b, other.a = 3, 2, 1
    assert digest(one) == digest(other)
    other.a = 2
    assert digest(one) != digest(other)


def test_members_of_enums():
    source = "class C(enum.Flag):\n    A = 1\n    B = 2\n    def f(self): return 1"
    assert digest(made(source)) == digest(made(source))
    assert digest(made(source).A) == digest(made(source).A)
    assert digest(made(source).A) != digest(made(source).B)
    assert digest(made(source)) != digest(made(source.replace("return 1", "return 2")))


def test_loggers_are_of_no_consequence():
    assert digest(logging.getLogger("a")) == digest(logging.getLogger("b"))
