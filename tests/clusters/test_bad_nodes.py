from __future__ import annotations

from dataclasses import replace

from tests.clusters.played_farm import POLICY, Farm

from beampipe.clusters.bad_nodes import (
    count_open_failures,
    describe_bad_nodes,
    find_reason_to_give_up,
    judge_nodes,
)
from beampipe.clusters.fleet import BadNode, Failure, Fleet, Job, Phase, Seen, Submit

NODES = frozenset(f"n{number}" for number in range(1, 5))


def fail(*hosts, sign="exit 1 None"):
    return tuple(Failure(sign, f"{sign} on {host}", "no module", host) for host in hosts)


def judge(*hosts, works=False, nodes=NODES, now=100.0, sign="exit 1 None", **seen):
    phase = Phase.CONNECTED if works else Phase.PENDING
    jobs = {"0": Job(job_id="0", phase=phase, since=0.0)}
    fleet = Fleet(jobs=jobs, failures=fail(*hosts, sign=sign), nodes=nodes)
    return judge_nodes(fleet, Seen(now=now, **seen), POLICY)


def names(fleet):
    return [node.name for node in fleet.bad_nodes]


def test_two_failures_alike_on_a_node_keep_others_off_it():
    assert names(judge("n1")) == []
    assert judge("n1", "n1").bad_nodes == (BadNode("n1", 100.0, 2, "exit 1 None on n1"),)


def test_what_happens_elsewhere_too_while_nothing_works_is_no_nodes_fault():
    assert names(judge("n1", "n1", "n2")) == []
    assert names(judge("n1", "n1", "n2", works=True)) == ["n1"]


def test_most_nodes_are_left():
    assert names(judge("n1", "n1", "n2", "n2", "n3", "n3", works=True)) == ["n1", "n2"]
    assert names(judge("n1", "n1", nodes=frozenset({"n1"}))) == []


def test_no_node_is_avoided_that_is_not_known():
    assert names(judge("n1", "n1", nodes=frozenset())) == []
    assert names(judge("", "")) == []
    assert names(judge("n9", "n9")) == []


def test_what_says_nothing_of_a_node_is_not_held_against_it():
    assert names(judge("n1", "n1", sign="memory None 9")) == []
    assert names(judge("n1", "n1", sign="cancelled None None")) == []


def test_the_newest_list_of_nodes_counts():
    fleet = judge("n1", "n1", nodes=frozenset())
    assert names(fleet) == []
    fleet = judge_nodes(fleet, Seen(now=101.0, nodes=NODES), POLICY)
    assert names(fleet) == ["n1"]


def test_it_is_forgiven_after_a_while():
    fleet = replace(judge("n1", "n1"), failures=())
    kept = judge_nodes(fleet, Seen(now=99.0 + POLICY.forgive_node_s), POLICY)
    assert names(kept) == ["n1"]
    assert names(judge_nodes(fleet, Seen(now=100.0 + POLICY.forgive_node_s), POLICY)) == []


def test_a_queue_that_has_nothing_left_for_us_gets_all_nodes_again():
    fleet = judge("n1", "n1")
    fleet = judge_nodes(fleet, Seen(now=101.0, refused=((1, "no node"),)), POLICY)
    assert names(fleet) == []
    assert names(judge_nodes(fleet, Seen(now=102.0), POLICY)) == []


def test_failures_on_a_node_that_is_avoided_are_no_reason_to_give_up_or_to_wait():
    fleet = judge("n1", "n1", "n1")
    assert find_reason_to_give_up(fleet, POLICY) is None
    assert count_open_failures(fleet) == 0
    elsewhere = replace(fleet, failures=(*fleet.failures, *fail("n2")))
    failure, count = find_reason_to_give_up(elsewhere, POLICY)
    assert (failure.host, count) == ("n2", 4)
    assert count_open_failures(elsewhere) == 1


def test_what_happens_elsewhere_is_not_hidden_by_a_bad_node():
    fleet = judge("n1", "n1", "n1", "n1")
    other = fail("n2", "n3", "n4", sign="exit 2 None")
    fleet = replace(fleet, failures=(*fleet.failures, *other))
    failure, count = find_reason_to_give_up(fleet, POLICY)
    assert (failure.sign, count) == ("exit 2 None", 3)


def test_they_are_described_for_people():
    assert describe_bad_nodes(Fleet()) == ""
    assert describe_bad_nodes(judge("n1", "n1")) == "nodes avoided: n1 (exit 1 None on n1)"
    many = tuple(BadNode(f"n{each}", 0.0, 2, "x") for each in range(5))
    assert describe_bad_nodes(Fleet(bad_nodes=many)).endswith(" and 2 more")


def play(bad, wanted=1, seconds=60):
    """A farm whose jobs go to the first node that has room for two, and fail on bad ones."""
    farm = Farm(wanted=wanted)
    farm.news["nodes"] = NODES
    avoided = ()
    for _ in range(seconds):
        actions = farm.step()
        avoided = next((each.avoid for each in actions if isinstance(each, Submit)), avoided)
        for job_id in list(farm.queue):
            usable = [node for node in sorted(NODES) if node not in farm.avoids[job_id]]
            node = usable[int(job_id) % 2]
            farm.hosts[job_id] = node
            if node in bad:
                farm.end(job_id)
    return farm, avoided


def test_a_cluster_gets_its_workers_in_spite_of_a_node_that_takes_every_job():
    farm, avoided = play({"n1"}, wanted=4)
    assert farm.count(Phase.CONNECTED) == 4
    assert avoided == ("n1",)
    assert farm.gave_up is None
    lost = [job.reason for job in farm.fleet.ended if job.phase is Phase.LOST]
    assert any(reason.endswith("n1 is avoided from now on") for reason in lost)


def test_where_all_nodes_are_alike_it_is_given_up():
    farm, _ = play(NODES, wanted=4)
    assert farm.gave_up is not None
