"""What the claims of a run say: who may write which segments, and which are void."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from beampipe.execution.lease import read_object
from beampipe.execution.run_directory import RunDirectory
from beampipe.execution.storage import list_folder

_VOID = ".void"


def claim_name(number: int) -> str:
    """The name of a claim file."""
    return f"{number:06d}"


def claim_path(directory: RunDirectory, number: int) -> Path:
    """Where a claim lies."""
    return directory.claims / claim_name(number)


def void_path(directory: RunDirectory, number: int) -> Path:
    """Where the mark lies that a segment is never to be counted."""
    return directory.claims / f"{claim_name(number)}{_VOID}"


def numbers_among(names: Iterable[str], suffix: str = "") -> list[int]:
    """The numbers that files in a folder have for names, in their order."""
    stems = (name.removesuffix(suffix) for name in names if name.endswith(suffix))
    return sorted({int(stem) for stem in stems if stem.isascii() and stem.isdecimal()})


def list_claims(directory: RunDirectory) -> tuple[list[int], frozenset[int]]:
    """The numbers that are claimed, and those that are marked void.

    Raises
    ------
    RunStorageError
        ``run-storage``: nobody can say.
    """
    names = list_folder(directory.claims)
    return numbers_among(names), frozenset(numbers_among(names, _VOID))


def last_claim(directory: RunDirectory) -> int:
    """The highest number that is claimed; 0 where there is none."""
    return max(list_claims(directory)[0], default=0)


def last_driver(directory: RunDirectory) -> str | None:
    """Who made the last claim; None where nobody can say."""
    driver = read_object(claim_path(directory, last_claim(directory))).get("driver")
    return driver if isinstance(driver, str) else None


@dataclass(frozen=True, slots=True)
class Claim:
    """Who claimed a number, and the last number of the commit that it is for.

    A commit of several segments claims all of them before it writes any, so all of them may
    be under way until its driver claims the number after `last`.
    """

    driver: Any
    last: int
    is_signed: bool = True


def read_claims(directory: RunDirectory, numbers: Collection[int]) -> dict[int, Claim]:
    """Who claimed each of these numbers, which are in their order."""
    claims: dict[int, Claim] = {}
    for number in numbers:
        data = read_object(claim_path(directory, number))
        before = claims.get(number - 1)
        # Empty where the claimant was killed, or found the disk full, in that very moment. As
        # a rule that is the one who made the claim before.
        driver = data.get("driver", before.driver if before else None)
        first, last = data.get("first"), data.get("last")
        is_batch = isinstance(first, int) and isinstance(last, int) and first < number <= last
        last = last if is_batch and isinstance(last, int) else number
        claims[number] = Claim(driver, last, is_signed="driver" in data)
        # The first number of a commit was claimed when its driver did not know yet of others.
        if is_batch and first == number - 1 and before and before.driver == driver:
            claims[number - 1] = Claim(driver, last, is_signed=before.is_signed)
    return claims


def may_count(number: int, claims: Mapping[int, Claim], *, own: int) -> bool:
    """Whether a segment counts, if it is there and whole, for a driver whose first claim is `own`.

    Of what the driver before this one was writing, all counts that is there now. Further back
    it matters whether somebody who took the run over since may still void it: one that saw no
    segment yet, and was stopped before it made its mark, may make it when it wakes up. Where
    that is possible the segment is better void at once, for all.
    """
    claim = claims[number]
    following = claim.last + 1
    if following >= own:  # beyond `own`: it never had all its claims, so nothing was written
        return True
    if following not in claims:
        return False
    taker, next_one = claims[following].driver, claims.get(following + 1)
    if taker == claim.driver:  # its driver went on: it is whole, for everyone
        return True
    # Who took over has gone on to a second claim, so it had looked by then. A claim without a
    # name will not do: it may be that of a third one, which was stopped while it made it.
    return next_one is not None and next_one.is_signed and next_one.driver == taker
