from __future__ import annotations

import pickle

from beampipe.clusters.fleet import Fleet, Job, Phase, Seen


def test_a_phase_is_a_word_for_people():
    assert f"{Phase.PENDING}" == "pending"
    assert [str(phase) for phase in Phase] == [
        *("submitted", "pending", "starting", "connected", "retiring", "done", "lost"),
    ]


def test_what_is_known_can_be_sent():
    fleet = Fleet(jobs={"1": Job(job_id="1", phase=Phase.PENDING, since=1.0)})
    assert pickle.loads(pickle.dumps(fleet)) == fleet
    assert Seen(now=1.0).queue is None
