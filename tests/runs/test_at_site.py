from __future__ import annotations

import operator

import pytest

from beampipe.errors import WorkersLostError
from beampipe.runs import at_site
from beampipe.runs.at_site import client_at


@pytest.mark.parametrize("n_workers", [None, 1])
def test_a_client_has_workers_for_its_block(n_workers):
    with client_at("local", n_workers) as client:
        assert client.submit(operator.neg, 3).result(timeout=90) == -3
    assert client.status == "closed"


def test_why_no_worker_came_is_what_is_told(monkeypatch):
    opened = []
    real = at_site.cluster

    def remember(site):
        opened.append(real(site))
        return opened[-1]

    monkeypatch.setattr(at_site, "cluster", remember)

    def lose_all():
        with client_at("local", 0):
            opened[0].failure = LookupError("the reason")
            raise WorkersLostError("lost")

    with pytest.raises(LookupError, match="the reason"):
        lose_all()
