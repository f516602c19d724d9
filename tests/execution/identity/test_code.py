"""Compiled code, however its source is laid out."""

import ast
import textwrap
import types

import pytest

from beampipe.execution.identity.code import GlobalUse, digest_code, find_globals, find_imports
from beampipe.execution.identity.sources import strip_docstrings

SOURCE = '''
def f(events, cut=3, *rest, flag=False, **more):
    """Say something.

    Over several lines.
    """
    # a comment
    total = 0
    for event in events:  # another
        if (event.pt > cut and
                event.eta < 2.4):
            continue
        try:
            total += sum(x for x in event.jets if x > cut)
        except (ValueError, KeyError) as error:
            pass
        finally:
            total -= 0
        while total < 3:
            if flag: break
            total += 1
        else:
            total = -total
    class Inner:
        """Inside."""
        def g(self):
            """Deeper."""
            return f"{total!r:>{cut}}" if total else None
    with open("x") as stream: return Inner().g(), [lambda y: y, lambda y: y + 1]
'''


def code_of(source):
    constants = compile(source, "x.py", "exec").co_consts
    return next(one for one in constants if isinstance(one, types.CodeType))


def test_layout_and_docstrings_do_not_matter():
    first = digest_code(code_of(SOURCE))
    tree = ast.parse(SOURCE)
    assert digest_code(code_of(ast.unparse(tree))) == first
    assert digest_code(code_of(ast.unparse(strip_docstrings(tree)))) == first
    assert digest_code(code_of("\n\n# far down\n" + SOURCE)) == first


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("cut=3", "cat=3"),
        ("*rest, flag", "flag"),
        ("event.pt > cut", "event.pt >= cut"),
        ("continue", "break"),
        ("ValueError, KeyError", "ValueError, IndexError"),
        ("total -= 0", "total -= 0.0"),
        ("total -= 0", "total -= False"),
        ("y + 1", "y + 2"),
        ("!r:>", "!s:>"),
        ("self):", "self, z):"),
    ],
)
def test_what_it_does_matters(old, new):
    changed = SOURCE.replace(old, new)
    assert changed != SOURCE
    assert digest_code(code_of(changed)) != digest_code(code_of(SOURCE))


@pytest.mark.parametrize(
    ("one", "other"),
    [("0.0", "-0.0"), ("1", "True"), ("1", "1.0"), ("(1, 2)", "(2, 1)"), ("b'a'", "'a'")],
)
def test_constants_that_compare_equal_are_told_apart(one, other):
    first, second = (code_of(f"def f(): return {text}") for text in (one, other))
    assert digest_code(first) != digest_code(second)


def test_a_string_that_is_used_is_no_docstring():
    first, second = (code_of(f"def f():\n    x = 1\n    return {text!r}") for text in ("a", "b"))
    assert digest_code(first) != digest_code(second)


def test_globals_are_found_with_the_attributes_that_are_taken():
    text = """
        def f():
            helper.cuts.PT
            [other(x) for x in here.y()]
            return helper
    """
    used = set(find_globals(code_of(textwrap.dedent(text))))
    assert used == {
        GlobalUse("helper", ("cuts", "PT")),
        GlobalUse("helper"),
        GlobalUse("other"),
        GlobalUse("here", ("y",)),
    }


def test_imports_are_found_with_what_is_taken():
    text = """
        def f():
            import a.b as c
            from .. import d
            from .e import g, h
            def inner():
                import z
    """
    found = [
        (use.name, use.level, use.members) for use in find_imports(code_of(textwrap.dedent(text)))
    ]
    assert found == [("a.b", 0, ()), ("", 2, ("d",)), ("e", 1, ("g", "h")), ("z", 0, ())]
