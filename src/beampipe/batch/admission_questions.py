"""What each batch system is asked of queues, accounts and limits.

The forms of the answers of Slurm, HTCondor, Grid Engine and OAR were taken from real ones
(tests/farms), those of PBS, Torque and LSF from their manuals.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial, wraps
from types import MappingProxyType
from typing import Final, TypeAlias

from beampipe.batch.admission import (
    Question,
    Wanted,
    describe_longest,
    judge_failure,
    judge_name,
    judge_walltime,
    unasked,
)
from beampipe.batch.model import Answer, Command
from beampipe.batch.spelling import read_duration
from beampipe.checks import Finding

_PATIENCE_S: Final = 10.0
_PAIR: Final = re.compile(r"(\w+)=(\S*)")
_NO_LIMIT: Final = {"", "NONE", "INFINITY", "UNLIMITED", "undefined"}
_SLURM_LIMITS: Final = (
    *("GrpTRES", "GrpTRESRunMins", "GrpJobs", "GrpSubmit"),
    *("MaxTRES", "MaxJobs", "MaxSubmit"),
)


def find_questions(system: str, wanted: Wanted) -> tuple[Question, ...]:
    """What to ask a batch system; nothing of one for which no question is known."""
    ask = _QUESTIONS.get(system)
    return () if ask is None else tuple(ask(wanted))


_Judge: TypeAlias = Callable[[Wanted, Answer], Iterator[Finding]]


def _answer_of(program: str, *, code: str) -> Callable[[_Judge], _Judge]:
    """Have a judge look at real answers only; a program that gave none is a finding itself."""

    def look_first(judge: _Judge) -> _Judge:
        @wraps(judge)
        def look(wanted: Wanted, answer: Answer) -> Iterator[Finding]:
            if answer.exit_code:
                yield judge_failure(code, program, answer)
            else:
                yield from judge(wanted, answer)

        return look

    return look_first


def _ask(code: str, judge: _Judge, wanted: Wanted, *argv: str) -> Question:
    return Question(code, Command(argv, timeout_s=_PATIENCE_S), partial(judge, wanted))


def _judge_queue_name(wanted: Wanted, name: str, known: Collection[str]) -> Finding | None:
    return judge_name("queue", name=name, known=known, key="queue", what="queue", site=wanted.site)


def _judge_state(
    wanted: Wanted, name: str, states: Mapping[str, str], *, is_fine: bool, word: str
) -> Finding:
    """Whether a queue is there, and in a state that is fine, for which people have a word."""
    unknown = _judge_queue_name(wanted, name, states)
    if unknown is not None:
        return unknown
    if is_fine:
        return Finding("queue", "ok", f"queue '{name}' is {word}")
    return _closed(f"queue '{name}' is {states[name]}")


def _closed(fact: str) -> Finding:
    return Finding("queue", "error", fact, "wait until the site opens it, or take another")


# -- Slurm --------------------------------------------------------------------------------------


def _ask_slurm(wanted: Wanted) -> Iterator[Question]:
    yield _ask(
        "queue", _judge_partitions, wanted, "scontrol", "--oneliner", "show", "partition", "--all"
    )
    fields = f"format=Account,User,Partition,QOS,{','.join(_SLURM_LIMITS)}"
    show = ("sacctmgr", "--noheader", "--parsable2", "--readonly", "show", "associations")
    yield _ask("account", _judge_associations, wanted, *show, f"users={wanted.user}", fields)
    if wanted.account:
        yield _ask("quota", _judge_groups, wanted, *show, f"accounts={wanted.account}", fields)


@_answer_of("scontrol show partition", code="queue")
def _judge_partitions(wanted: Wanted, answer: Answer) -> Iterator[Finding]:
    rows = [dict(_PAIR.findall(line)) for line in answer.stdout.splitlines()]
    known = {row["PartitionName"]: row for row in rows if "PartitionName" in row}
    names = [name for name in wanted.queue.split(",") if name]
    if not names:
        names = [name for name, row in known.items() if row.get("Default") == "YES"]
    if not names:
        some = ", ".join(sorted(known))
        fact = f"no partition is the default; those that there are: {some}"
        yield Finding("queue", "error", fact, f"set `queue` of site '{wanted.site}'")
    for name in names:
        yield _judge_partition(wanted, name, known)


def _judge_partition(wanted: Wanted, name: str, known: Mapping[str, Mapping[str, str]]) -> Finding:
    unknown = judge_name(
        "queue", name=name, known=known, key="queue", what="partition", site=wanted.site
    )
    if unknown is not None:
        return unknown
    row = known[name]
    if (state := row.get("State", "UP")) != "UP":
        fact = f"partition '{name}' is {state}: its jobs wait"
        return Finding("queue", "error", fact, "wait until the site opens it, or take another one")
    allowed = row.get("AllowAccounts", "ALL")
    if allowed != "ALL" and wanted.account not in {"", *allowed.split(",")}:
        fact = f"partition '{name}' is for accounts {allowed}, not for '{wanted.account}'"
        return Finding("queue", "error", fact, f"see `account` of site '{wanted.site}'")
    longest_s = read_duration(row.get("MaxTime", ""))
    late = judge_walltime(wanted, longest_s, queue=name, what="partition")
    is_default = "" if wanted.queue else ", the default,"
    return late or Finding(
        "queue", "ok", f"partition '{name}'{is_default} is up{describe_longest(longest_s)}"
    )


def _read_associations(answer: Answer) -> list[dict[str, str]]:
    names = ("Account", "User", "Partition", "QOS", *_SLURM_LIMITS)
    rows = [line.split("|") for line in answer.stdout.splitlines() if line.strip()]
    return [dict(zip(names, row, strict=False)) for row in rows if len(row) >= len(names)]


@_answer_of("sacctmgr show associations", code="account")
def _judge_associations(wanted: Wanted, answer: Answer) -> Iterator[Finding]:
    mine = _read_associations(answer)
    accounts = sorted({row["Account"] for row in mine})
    if not mine:
        fact = f"Slurm's accounting has no account for user '{wanted.user}'"
        if wanted.account:
            remedy = f"ask the site for access to '{wanted.account}', if jobs are refused"
            yield Finding("account", "warning", fact, remedy)
        else:
            yield Finding("account", "ok", f"{fact}; jobs are taken where it enforces none")
        return
    unknown = judge_name(
        "account", name=wanted.account or accounts[0], known=accounts, key="account",
        what=f"account of user '{wanted.user}'", site=wanted.site,
    )  # fmt: skip
    yield unknown or Finding("account", "ok", f"yours: {', '.join(accounts)}")
    chosen = [row for row in mine if row["Account"] == (wanted.account or row["Account"])]
    yield from _tell_limits(chosen, "yours in")


@_answer_of("sacctmgr show associations", code="quota")
def _judge_groups(_: Wanted, answer: Answer) -> Iterator[Finding]:
    yield from _tell_limits([row for row in _read_associations(answer) if not row["User"]], "of")


def _tell_limits(rows: list[dict[str, str]], whose: str) -> Iterator[Finding]:
    for row in rows:
        limits = [f"{name} {row[name]}" for name in _SLURM_LIMITS if row[name] not in _NO_LIMIT]
        if limits:
            fact = f"limits {whose} account '{row['Account']}': {', '.join(limits)}"
            yield Finding("quota", "ok", fact)


# -- HTCondor -----------------------------------------------------------------------------------


def _ask_htcondor(wanted: Wanted) -> Iterator[Question]:
    slots = ("condor_status", "-startd", "-af", "State")
    yield _ask("queue", _judge_pool, wanted, *slots)
    yield _ask("quota", _judge_groups_of_condor, wanted, "condor_userprio", "-quotas")


@_answer_of("condor_status", code="queue")
def _judge_pool(_: Wanted, answer: Answer) -> Iterator[Finding]:
    count = len(answer.stdout.split())
    if not count:
        fact = "the pool has no slot now: jobs wait until some come"
        yield Finding("queue", "warning", fact, "see CONDOR_HOST: is that the pool you mean?")
        return
    yield Finding("queue", "ok", f"the pool has {count} slots")


@_answer_of("condor_userprio -quotas", code="quota")
def _judge_groups_of_condor(wanted: Wanted, answer: Answer) -> Iterator[Finding]:
    """Read the table of accounting groups: name, effective quota, configured quota, and so on."""
    rules = [i for i, line in enumerate(answer.stdout.splitlines()) if line.startswith("-----")]
    lines = answer.stdout.splitlines()[rules[0] + 1 : rules[-1]] if len(rules) > 1 else []
    rows = [line.split() for line in lines]
    quotas = {row[0]: row[1] for row in rows if len(row) > 2 and row[0] != "<none>"}
    groups = sorted(quotas)
    if not wanted.account:
        if groups:
            yield Finding("quota", "ok", f"accounting groups of the pool: {', '.join(groups)}")
        return
    # A group that has no quota of its own may have been given to a job all the same.
    found = max((g for g in groups if f"{wanted.account}.".startswith(f"{g}.")), default="")
    if found:
        fact = f"accounting group '{found}' has a quota of {quotas[found]} slots"
        yield Finding("quota", "ok", fact)
        return
    close = judge_name(
        "account", name=wanted.account, known=groups, key="account", what="accounting group "
        "with a quota", site=wanted.site,
    )  # fmt: skip
    if close is not None:
        yield Finding("account", "warning", close.fact, f"{close.remedy}, if jobs are refused")


# -- Grid Engine --------------------------------------------------------------------------------


def _ask_sge(wanted: Wanted) -> Iterator[Question]:
    yield _ask("queue", _judge_queue_list, wanted, "qconf", "-sql")
    if name := wanted.queue.partition("@")[0]:
        yield _ask("queue", _judge_queue_of_sge, wanted, "qconf", "-sq", name)
    if wanted.account:
        yield _ask("account", _judge_projects, wanted, "qconf", "-sprjl")
    yield _ask("quota", _judge_rules, wanted, "qconf", "-srqs")


@_answer_of("qconf -sql", code="queue")
def _judge_queue_list(wanted: Wanted, answer: Answer) -> Iterator[Finding]:
    known, name = answer.stdout.split(), wanted.queue.partition("@")[0]
    if not name:
        yield Finding("queue", "ok", f"any of {', '.join(known)}")
        return
    unknown = _judge_queue_name(wanted, name, known)
    if unknown is not None:
        yield unknown


def _judge_queue_of_sge(wanted: Wanted, answer: Answer) -> Iterator[Finding]:
    if answer.exit_code:
        return  # the list has told that it is not there
    rows = [line.split(maxsplit=1) for line in answer.stdout.splitlines()]
    facts = {row[0]: row[1].strip() for row in rows if len(row) == 2}
    name, longest_s = wanted.queue.partition("@")[0], read_duration(facts.get("h_rt", ""))
    projects = facts.get("projects", "NONE")
    if projects != "NONE" and wanted.account not in re.split(r"[\s,]+", projects):
        fact = f"queue '{name}' is for projects {projects}"
        yield Finding("queue", "error", fact, f"set `account` of site '{wanted.site}' to one")
        return
    late = judge_walltime(wanted, longest_s, queue=name, what="queue")
    yield late or Finding("queue", "ok", f"queue '{name}' is there{describe_longest(longest_s)}")


def _judge_projects(wanted: Wanted, answer: Answer) -> Iterator[Finding]:
    known = [] if answer.exit_code else answer.stdout.split()
    if answer.exit_code and "no project" not in answer.stderr.lower():
        yield judge_failure("account", "qconf -sprjl", answer)
        return
    unknown = judge_name(
        "account", name=wanted.account, known=known, key="account", what="project",
        site=wanted.site,
    )  # fmt: skip
    yield unknown or Finding("account", "ok", f"project '{wanted.account}' is there")


def _judge_rules(_: Wanted, answer: Answer) -> Iterator[Finding]:
    if answer.exit_code:
        if "no resource quota" not in answer.stderr.lower():
            yield judge_failure("quota", "qconf -srqs", answer)
        return
    for text in re.findall(r"^\{$(.*?)^\}$", answer.stdout, re.DOTALL | re.MULTILINE):
        facts = [line.split(maxsplit=1) for line in text.splitlines() if line.strip()]
        limits = [" ".join(row[1].split()) for row in facts if row[0] == "limit" and len(row) == 2]
        named = {row[0]: row[1].strip() for row in facts if len(row) == 2}
        if limits and named.get("enabled", "").upper() == "TRUE":
            fact = f"limits of rule '{named.get('name', '?')}': {'; '.join(limits)}"
            yield Finding("quota", "ok", fact)


# -- PBS, Torque --------------------------------------------------------------------------------


def _ask_pbs(wanted: Wanted) -> Iterator[Question]:
    yield _ask("queue", _judge_queues_of_pbs, wanted, "qstat", "-Q", "-f")


@_answer_of("qstat -Q -f", code="queue")
def _judge_queues_of_pbs(wanted: Wanted, answer: Answer) -> Iterator[Finding]:
    parts = re.split(r"^Queue: *", answer.stdout, flags=re.MULTILINE)[1:]
    known: dict[str, dict[str, str]] = {}
    for part in parts:
        name, _, rest = part.partition("\n")
        pairs = re.findall(r"^\s+([\w.]+) = (.*)$", rest, re.MULTILINE)
        known[name.strip()] = {key: text.strip() for key, text in pairs}
    name = wanted.queue.partition("@")[0]
    if not name:
        yield Finding("queue", "ok", f"the server's default, of {', '.join(known)}")
        return
    unknown = _judge_queue_name(wanted, name, known)
    if unknown is not None:
        yield unknown
        return
    yield from _judge_queue_of_pbs(wanted, name, known[name])


def _judge_queue_of_pbs(wanted: Wanted, name: str, facts: Mapping[str, str]) -> Iterator[Finding]:
    for key, meaning in (("enabled", "takes no jobs"), ("started", "starts no jobs")):
        if facts.get(key) == "False":
            yield _closed(f"queue '{name}' {meaning} now")
            return
    longest_s = read_duration(facts.get("resources_max.walltime", ""))
    late = judge_walltime(wanted, longest_s, queue=name, what="queue")
    yield late or Finding("queue", "ok", f"queue '{name}' is open{describe_longest(longest_s)}")
    told = ("max_run", "max_queued", "max_user_run", "max_group_run", "max_run_res.ncpus")
    limits = [f"{key} {facts[key]}" for key in told if key in facts]
    if limits:
        yield Finding("quota", "ok", f"limits of queue '{name}': {', '.join(limits)}")
    if wanted.account:
        yield unasked("account", "this batch system does not say which accounts there are")


# -- OAR, LSF -----------------------------------------------------------------------------------


def _ask_oar(wanted: Wanted) -> Iterator[Question]:
    yield _ask("queue", _judge_queues_of_oar, wanted, "oarnotify", "-l")


@_answer_of("oarnotify -l", code="queue")
def _judge_queues_of_oar(wanted: Wanted, answer: Answer) -> Iterator[Finding]:
    found = re.findall(
        r"^(\S+)\s*\n(?:\s+.*\n)*?\s+state = (\w+)", f"{answer.stdout}\n", re.MULTILINE
    )
    known, name = dict(found), wanted.queue or "default"
    is_fine = known.get(name, "").lower() == "active"
    yield _judge_state(wanted, name, known, is_fine=is_fine, word="active")


def _ask_lsf(wanted: Wanted) -> Iterator[Question]:
    yield _ask("queue", _judge_queues_of_lsf, wanted, "bqueues", "-w")


@_answer_of("bqueues", code="queue")
def _judge_queues_of_lsf(wanted: Wanted, answer: Answer) -> Iterator[Finding]:
    rows = [line.split() for line in answer.stdout.splitlines()[1:]]
    known = {row[0]: row[2] for row in rows if len(row) > 2}
    if not wanted.queue:
        yield Finding("queue", "ok", f"the system's default, of {', '.join(known)}")
        return
    is_fine = known.get(wanted.queue) == "Open:Active"
    yield _judge_state(wanted, wanted.queue, known, is_fine=is_fine, word="open")


_QUESTIONS: Final[Mapping[str, Callable[[Wanted], Iterator[Question]]]] = MappingProxyType(
    {
        "slurm": _ask_slurm,
        "htcondor": _ask_htcondor,
        "sge": _ask_sge,
        "pbs": _ask_pbs,
        "torque": _ask_pbs,
        "oar": _ask_oar,
        "lsf": _ask_lsf,
    }
)
