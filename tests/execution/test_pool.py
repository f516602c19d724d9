"""The contract itself; what a pool does is in the tests of each."""

import inspect

import pytest

from beampipe.execution.dask_pool import DaskPool
from beampipe.execution.inline_pool import InlinePool
from beampipe.execution.pool import Finished, Lost, Pool
from beampipe.testing.chaos_pool import ChaosPool

VERBS = [name for name, _ in inspect.getmembers(Pool, inspect.isfunction) if name[0] != "_"]


@pytest.mark.parametrize("kind", [InlinePool, DaskPool, ChaosPool])
@pytest.mark.parametrize("verb", VERBS)
def test_every_pool_has_every_verb_with_the_same_arguments(kind, verb):
    wanted, found = (list(inspect.signature(getattr(one, verb)).parameters) for one in (Pool, kind))
    assert found == wanted


def test_what_became_of_a_bundle_is_told_by_type():
    lost = Lost("bundle-1", ValueError("x"))
    assert lost != Finished("bundle-1", None)
    assert (lost.key, str(lost.error)) == ("bundle-1", "x")
