import pytest

from beampipe.errors import RunStorageError
from beampipe.execution.claims import (
    claim_path,
    last_claim,
    last_driver,
    list_claims,
    may_count,
    numbers_among,
    read_claims,
    void_path,
)
from beampipe.execution.storage import dump_sealed, write_atomic


@pytest.fixture
def claim(run_directory):
    """Write claims: the letter of a driver, "" for one that was killed at that moment."""

    def claim(drivers, *, first=0, last=0):
        for number, driver in enumerate(drivers, start=1):
            batch = {"first": first, "last": last} if first < number <= last else {}
            text = dump_sealed({"driver": driver, **batch}) if driver else b""
            write_atomic(claim_path(run_directory, number), text)
        return read_claims(run_directory, range(1, len(drivers) + 1))

    return claim


@pytest.mark.parametrize(
    ("drivers", "counting"),
    [
        ("AB", [1]),  # what A was writing counts if it is there
        ("AAB", [1, 2]),
        ("ABC", [2]),  # B may have seen nothing, and still make its mark
        ("ABBC", [1, 2, 3]),  # B has gone on, so it had looked
        ("ABCB", [3]),
        ("A B", [1, 2]),  # A was killed at its second claim
        ("AB C", [2, 3]),  # who made the third one? C has it from its existence alone
        ("AB CC", [2, 3, 4]),
        ("A BC", [1, 3]),
    ],
)
def test_what_a_driver_that_takes_over_may_count(claim, drivers, counting):
    claims = claim([letter.strip() for letter in drivers])
    own = len(drivers)
    assert [number for number in range(1, own) if may_count(number, claims, own=own)] == counting


@pytest.mark.parametrize(
    ("drivers", "counting"),
    [
        ("AAAB", [1, 2, 3]),
        ("AAAAB", [1, 2, 3, 4]),
        ("AAABC", [4]),  # any of the three may still be void
        ("AAABBC", [1, 2, 3, 4, 5]),
        ("AA AB", [1, 2, 3, 4]),
        ("AAB", [1, 2]),  # it never had all its claims, so there is nothing to count
    ],
)
def test_a_commit_of_three_segments_is_under_way_until_the_claim_after_it(claim, drivers, counting):
    claims = claim([letter.strip() for letter in drivers], first=1, last=3)
    own = len(drivers)
    assert [number for number in range(1, own) if may_count(number, claims, own=own)] == counting


@pytest.mark.parametrize(
    "batch", [{"first": "x"}, {"first": 2, "last": 2}, {"first": 0, "last": 1}]
)
def test_a_batch_that_makes_no_sense_is_none(run_directory, batch):
    for number in (1, 2, 3):
        write_atomic(claim_path(run_directory, number), dump_sealed({"driver": "A", **batch}))
    claims = read_claims(run_directory, [1, 2, 3])
    assert [claim.last for claim in claims.values()] == [1, 2, 3]


def test_a_claim_that_was_damaged_counts_as_one_without_a_name(run_directory):
    """Seen: a flipped bit in an old claim made the next driver void two good segments."""
    for number in (1, 2, 3):
        text = dump_sealed({"driver": "A", "host": "node7"})
        write_atomic(claim_path(run_directory, number), text.replace(b'"A"', b'"C"', number == 2))
    claims = read_claims(run_directory, [1, 2, 3])
    assert {claim.driver for claim in claims.values()} == {"A"}
    assert last_driver(run_directory) == "A"


def test_names_that_are_no_numbers_are_passed_over(run_directory):
    names = ["000002", "000010.void", "1000000", "²4", "000009~1", ".3-x.tmp", "x.void"]
    assert numbers_among(names) == [2, 1_000_000]
    for name in names:
        (run_directory.claims / name).write_bytes(b"")
    assert list_claims(run_directory) == ([2, 1_000_000], {10})
    assert last_claim(run_directory) == 1_000_000
    assert void_path(run_directory, 10).exists()


def test_claims_that_cannot_be_listed_are_not_taken_for_none(run_directory):
    run_directory.claims.rmdir()
    with pytest.raises(RunStorageError, match="No such file"):
        list_claims(run_directory)
