import platform

import numpy as np

from beampipe.execution import instructions as module
from beampipe.execution.instructions import name_instructions


def test_a_processor_has_one_name():
    name = name_instructions()
    assert name == name_instructions()
    assert name.startswith(f"{platform.machine()}-")


def test_other_instructions_have_another_name(monkeypatch):
    before = name_instructions()
    name_instructions.cache_clear()
    features = np._core._multiarray_umath.__cpu_features__
    first = next(name for name, is_there in features.items() if is_there)
    monkeypatch.delitem(features, first)
    after = module.name_instructions()
    name_instructions.cache_clear()
    assert after != before
