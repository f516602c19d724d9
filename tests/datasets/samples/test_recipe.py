from __future__ import annotations

import pytest

from beampipe.datasets.samples.recipe import COMPRESSIONS, Recipe, check_whole
from beampipe.errors import SampleError


@pytest.mark.parametrize(
    "nonsense",
    [
        {"events": -1},
        {"events": 1.5},
        {"events": True},
        {"events": "many"},
        {"extra_branches": 2501},
        {"extra_branches": -1},
        {"seed": -1},
        {"cluster_events": 0},
        {"compression": "zipp"},
        {"compression": None},
    ],
    ids=str,
)
def test_nonsense_is_refused(nonsense):
    with pytest.raises(SampleError) as caught:
        Recipe(**nonsense)
    assert caught.value.fix
    assert repr(next(iter(nonsense.values()))) in str(caught.value)


def test_the_closest_compression_is_offered():
    with pytest.raises(SampleError, match="did you mean 'zstd'"):
        Recipe(compression="zstandard")


def test_signatures_are_equal_only_for_equal_files():
    recipes = [Recipe(), Recipe(events=1), Recipe(seed=2), Recipe(rntuple=True)]
    recipes += [Recipe(compression=c) for c in COMPRESSIONS if c != "zlib"]
    recipes += [Recipe(extra_branches=1), Recipe(cluster_events=7)]
    signatures = [recipe.sign(index) for recipe in recipes for index in (0, 1)]
    assert len(set(signatures)) == len(signatures)
    assert Recipe().sign(3) == Recipe().sign(3)


def test_borders_are_allowed():
    check_whole("files", 1, 1, 2)
    check_whole("files", 2, 1, 2)
    with pytest.raises(SampleError, match="from 1 to 2"):
        check_whole("files", 3, 1, 2)
