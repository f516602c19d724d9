"""The short, seeded set of scenarios that CI plays; `make chaos` plays all of them, often."""

import pytest
from tests.chaos.clusters import BARE, EMBEDDED, NANNY
from tests.chaos.scenarios import all_scenarios

SEED = "CI"
SHORT = (
    ("worker killed", NANNY),
    ("worker killed", EMBEDDED),
    ("worker killed at an aimed moment", BARE),
    ("nanny killed", NANNY),
    ("scheduler killed", BARE),
    ("worker told to go", BARE),
    ("driver killed, then resume", BARE),
    ("driver killed at an aimed moment", BARE),
    ("driver and worker killed", NANNY),
    ("driver stopped and overtaken", BARE),
    ("Ctrl-C twice", EMBEDDED),
    ("chunk kills its worker", NANNY),
    ("file replaced in mid-run", BARE),
    ("permission lost in mid-run", BARE),
    ("caches damaged", NANNY),
    ("bytes zeroed under the caches", BARE),
    ("disk full", BARE),
    ("run directory read-only", BARE),
    ("link cut", BARE),
    ("transient errors of a server", BARE),
)


@pytest.mark.parametrize(("name", "kind"), SHORT, ids=[f"{n}, {k}" for n, k in SHORT])
def test_scenario(theatre, name, kind):
    checked = theatre.play(all_scenarios()[name], kind, f"{SEED}/{name}/{kind}")
    assert not checked.is_over, f"more work was done again than was lost: {checked.redone}"


def test_the_short_set_is_in_the_table():
    table = all_scenarios()
    assert all(kind in table[name].kinds for name, kind in SHORT)
