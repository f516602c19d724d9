"""Every line of the table is provoked for real; see also tests/functional."""

from __future__ import annotations

import re

import pytest

from beampipe.error_kinds import TABLE, classify_error
from beampipe.error_rules import ErrorRule


def test_names_are_unique_and_words_are_there():
    names = [rule.name for rule in TABLE]
    assert len(set(names)) == len(names)
    assert all(rule.what and rule.fix for rule in TABLE)


@pytest.mark.parametrize("rule", TABLE, ids=lambda rule: rule.name)
def test_patterns_compile(rule):
    assert re.compile(rule.message)


def test_the_users_own_rules_come_first():
    rules = (ErrorRule(name="mine", kind="transient", errors=("ZeroDivisionError",)),)
    assert classify_error(ZeroDivisionError(), rules).rule == "mine"
    assert classify_error(ZeroDivisionError()).rule == "anything-else"
