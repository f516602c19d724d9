"""Nodes on which jobs fail at once, and which would take one job after the other."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from beampipe.clusters.fleet import BadNode, Failure, Fleet, Phase, Policy, Seen

_MOST = 0.5  # of all nodes
# What the signs of failures begin with that say nothing of a node.
_NO_FAULT = ("memory", "walltime", "cancelled")


def judge_nodes(fleet: Fleet, seen: Seen, policy: Policy) -> Fleet:
    """Find the nodes that jobs are to be kept off, and those to which they may go again.

    Only where it is known which nodes there are, so that most of them are left; and not where the
    same happens elsewhere and no worker works, which is no node's fault.
    """
    if seen.nodes is not None:
        fleet = replace(fleet, nodes=seen.nodes)
    if seen.refused and fleet.bad_nodes:
        # The queue may have none left that would do. Nodes are not asked for again so soon.
        return replace(fleet, bad_nodes=(), nodes=frozenset())
    bad = [each for each in fleet.bad_nodes if seen.now - each.since < policy.forgive_node_s]
    failures = [each for each in fleet.failures if not each.sign.startswith(_NO_FAULT)]
    failed = Counter((each.host, each.sign) for each in failures)
    for (host, sign), count in failed.most_common():
        is_known = host in fleet.nodes and host not in {each.name for each in bad}
        has_room = len(bad) + 1 <= _MOST * len(fleet.nodes)
        if count < policy.node_failures or not (is_known and has_room):
            continue
        if _works(fleet) or _hosts_of(fleet, sign) == {host}:
            words = next(each.words for each in reversed(fleet.failures) if each.host == host)
            bad.append(BadNode(host, seen.now, count, words))
    return replace(fleet, bad_nodes=tuple(bad))


def find_reason_to_give_up(fleet: Fleet, policy: Policy) -> tuple[Failure, int] | None:
    """The failure that happens again and again while no worker works, and how often it did."""
    if _works(fleet):
        return None
    bad = {each.name for each in fleet.bad_nodes}
    kinds = Counter(failure.sign for failure in fleet.failures)
    for sign, count in kinds.most_common():
        if count >= policy.failures and not _hosts_of(fleet, sign) <= bad:
            return [each for each in fleet.failures if each.sign == sign][-1], count
    return None


def count_open_failures(fleet: Fleet) -> int:
    """Failures that may happen again: those on nodes that are avoided will not."""
    bad = {each.name for each in fleet.bad_nodes}
    return sum(failure.host not in bad for failure in fleet.failures)


def describe_bad_nodes(fleet: Fleet) -> str:
    """In a few words, for people; empty where there are none."""
    if not fleet.bad_nodes:
        return ""
    named = [f"{each.name} ({each.words})" for each in fleet.bad_nodes[:3]]
    more = len(fleet.bad_nodes) - len(named)
    return f"nodes avoided: {', '.join(named)}{f' and {more} more' if more else ''}"


def _works(fleet: Fleet) -> bool:
    return any(job.phase is Phase.CONNECTED for job in fleet.jobs.values())


def _hosts_of(fleet: Fleet, sign: str) -> set[str]:
    return {failure.host for failure in fleet.failures if failure.sign == sign}
