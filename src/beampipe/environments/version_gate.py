"""Whether client, scheduler and workers have versions that work together.

What Dask's own check warns of, and what it does not know: the packages that read and compute. Which
differences do what was tried, with the script `benchmarks/mismatches.py`; the table is in
docs/reference/version-gate.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from beampipe.errors import VersionMismatchError

if TYPE_CHECKING:
    from distributed import Client

Level = Literal["stop", "warn", "off"]
Role = Literal["scheduler", "worker"]
_SAMPLE, _ANSWER_S = 50, 10.0
_MISSING = "none"


@dataclass(frozen=True, slots=True)
class _Rule:
    """What a difference of one package does.

    Attributes
    ----------
    parts : int
        How many numbers of a version must be the same; 0 is all of it.
    oldest : str
        The oldest with which a run was seen to work beside a newer one, else the oldest that
        Beampipe allows: an older one breaks runs. Empty where any difference does; ``"any"`` where
        none does.
    scheduler : bool
        Whether the scheduler's matters.
    """

    parts: int
    oldest: str = ""
    scheduler: bool = False


RULES: Final[Mapping[str, _Rule]] = {
    # Code is sent as bytecode.
    "python": _Rule(2),
    # Driver and workers are one program. What follows the release in a version of a working copy
    # tells when it was installed, and not what is in it now.
    "beampipe": _Rule(3),
    "dask": _Rule(2, "2025.9", scheduler=True),
    "distributed": _Rule(2, "2025.9", scheduler=True),
    "msgpack": _Rule(2, "1.0", scheduler=True),
    "cloudpickle": _Rule(2, "3.0", scheduler=True),
    "numpy": _Rule(2, "2.0"),
    "awkward": _Rule(2, "2.9"),
    "uproot": _Rule(2, "5.7"),
    "coffea": _Rule(2, "2026.9"),
    "hist": _Rule(2, "2.9"),
    "boost-histogram": _Rule(2, "1.8"),
    "numba": _Rule(2, "0.61"),
}


_ANY: Final = "any"
_ANY_OTHER: Final = _Rule(0, _ANY)
_DASKS_OWN: Final = {"tornado", "toolz", "pandas", "lz4"}
"""What Dask tells besides, and what does not matter here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """A package that is not the same on both sides.

    Attributes
    ----------
    package : str
    role : {"scheduler", "worker"}
        Where it differs from the client's.
    ours, theirs : str
        Versions; ``"none"`` where it is not installed.
    count : int
        On how many workers.
    example : str
        One of their addresses.
    is_fatal : bool
        Whether it breaks runs, or changes what they give.
    """

    package: str
    role: Role
    ours: str
    theirs: str
    count: int = 1
    example: str = ""
    is_fatal: bool = False

    def __str__(self) -> str:
        where = self.role if self.role == "scheduler" else f"{self.count} workers"
        example = f" (as {self.example})" if self.example and self.role == "worker" else ""
        return f"{self.package} {self.ours} here, {self.theirs} on {where}{example}"


def versions_here(packages: Iterable[str] = ()) -> dict[str, str | None]:
    """The versions in this process, as Dask tells them; of more packages, if they are named."""
    from distributed.versions import get_versions

    return dict(get_versions(packages=[*RULES, *packages])["packages"])


def compare(
    ours: Mapping[str, str | None],
    theirs: Mapping[str, str | None],
    role: Role = "worker",
    *,
    example: str = "",
) -> list[Mismatch]:
    """Compare the versions of two processes.

    Parameters
    ----------
    ours, theirs : mapping
        Versions by package; None, or nothing, where it is not installed.
    role : {"scheduler", "worker"}
        What the other one is.
    example : str
        Its address.
    """
    found = []
    for package in dict.fromkeys((*RULES, *ours)):
        rule = RULES.get(package, _ANY_OTHER)
        if role == "scheduler" and not rule.scheduler:
            continue
        if package in _DASKS_OWN:
            continue
        mine, other = ours.get(package), theirs.get(package)
        if not mine or _same(mine, other, rule.parts):
            continue  # what the client does not have its processor does not use
        is_missing = other is None and role == "worker"
        found.append(
            Mismatch(
                package=package,
                role=role,
                ours=_plain(mine),
                theirs=_plain(other),
                example=example,
                is_fatal=is_missing or _breaks(rule, mine, other),
            )
        )
    return found


def find_mismatches(versions: Mapping[str, Any]) -> list[Mismatch]:
    """Find what differs in what ``client.get_versions(packages=...)`` gives, the worst first."""
    ours = versions["client"]["packages"]
    found = compare(ours, (versions["scheduler"] or {}).get("packages", {}), "scheduler")
    groups: dict[tuple[str, str], list[Mismatch]] = {}
    for address, facts in versions["workers"].items():
        if not isinstance(facts, Mapping) or "packages" not in facts:
            continue  # it went away while it was asked
        for one in compare(ours, facts["packages"], example=address):
            groups.setdefault((one.package, one.theirs), []).append(one)
    for alike in groups.values():
        first = alike[0]
        found.append(
            Mismatch(
                package=first.package,
                role="worker",
                ours=first.ours,
                theirs=first.theirs,
                count=len(alike),
                example=first.example,
                is_fatal=first.is_fatal,
            )
        )
    return sorted(found, key=lambda one: not one.is_fatal)


def check_versions(client: Client, level: Level, packages: Iterable[str] = ()) -> tuple[str, ...]:
    """Refuse workers and schedulers with which a run would break.

    One question to the scheduler and to some of the workers that there are. All others are looked
    at when they get what the run needs (`beampipe.execution.context_plugin`).

    Parameters
    ----------
    client : distributed.Client
    level : {"stop", "warn", "off"}
        What is done about it.
    packages : iterable of str
        What the processor imports besides: workers must have it.

    Returns
    -------
    tuple of str
        What is different, and does not stop the run.

    Raises
    ------
    VersionMismatchError
        ``run-versions-differ``
    """
    if level == "off":
        return ()
    try:
        versions = ask_versions(client, packages)
    except (OSError, TimeoutError):  # whoever uses the client next says so better
        return ()
    return sort_out(find_mismatches(versions), level)


def ask_versions(client: Client, packages: Iterable[str] = ()) -> dict[str, Any]:
    """Ask client, scheduler and some workers for their versions.

    Returns
    -------
    dict
        As that of ``client.get_versions``.

    Raises
    ------
    OSError, TimeoutError
        No answer: a worker that is frozen would never give one.
    """
    names = [*RULES, *packages]
    some = list(client.scheduler_info(n_workers=_SAMPLE)["workers"])[:_SAMPLE]
    asked: Any = client.sync(_ask, client, names, some, callback_timeout=_ANSWER_S)
    scheduler, workers = asked
    here = {"packages": versions_here(packages)}
    return {"client": here, "scheduler": scheduler, "workers": workers}


async def _ask(client: Client, names: list[str], some: list[str]) -> tuple[Any, Any]:
    scheduler: Any = client.scheduler
    question = {"op": "versions", "packages": names}
    answers = scheduler.broadcast(msg=question, workers=some, on_error="ignore") if some else None
    return await scheduler.versions(packages=names), (await answers if answers else {})


def sort_out(found: Iterable[Mismatch], level: Level) -> tuple[str, ...]:
    """Raise for what is fatal, and give the rest as texts.

    Raises
    ------
    VersionMismatchError
        ``run-versions-differ``
    """
    found = list(found)
    fatal = [one for one in found if one.is_fatal]
    if fatal and level == "stop":
        raise VersionMismatchError(
            "Workers, or their scheduler, have versions with which this run would break.",
            why="; ".join(map(str, fatal)),
            fix=_remedy(fatal),
            mismatches=tuple(map(str, found)),
        )
    return tuple(map(str, found)) if level != "off" else ()


def _remedy(fatal: Iterable[Mismatch]) -> str:
    wanted = " ".join(
        f"{one.package}=={one.ours}" for one in fatal if one.package not in {"python", "beampipe"}
    )
    parts = [f"install {wanted} there (or the workers' versions here)"] if wanted else []
    if any(one.package == "python" for one in fatal):
        parts.append("use the same Python on both sides")
    if any(one.package == "beampipe" for one in fatal):
        parts.append("install the same Beampipe on both sides")
    return f"{', '.join(parts)}; `version_gate = 'warn'` goes on regardless"


def _breaks(rule: _Rule, mine: str, other: str | None) -> bool:
    if rule.oldest == _ANY or other is None:
        return False
    return not rule.oldest or min(_order(mine), _order(other)) < _order(rule.oldest)


def _order(version: str) -> list[int]:
    return [int(number) for number in _numbers(version)]


def _same(mine: str, other: str | None, parts: int) -> bool:
    if other is None:
        return False
    if not parts:
        return mine == other
    return _numbers(mine)[:parts] == _numbers(other)[:parts]


def _numbers(version: str) -> list[str]:
    return re.findall(r"\d+", version)


def _plain(version: str | None) -> str:
    """A version as people write it; Python's comes as ``3.11.7.final.0``."""
    return re.sub(r"\.final\.\d+$", "", version) if version else _MISSING
