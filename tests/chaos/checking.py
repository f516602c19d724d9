"""What must hold after every scenario, whatever was done to the run."""

import json
from dataclasses import dataclass

from tests.chaos.data import CHUNK
from tests.chaos.trace import Blow, Redone, count_redone

import beampipe as bp


@dataclass(frozen=True)
class Checked:
    """What came of one run of a scenario.

    Attributes
    ----------
    outcome : str
        ``"exact"``: every event, once. ``"honest"``: with holes that are named, all else exact.
    is_over : bool
        Whether more work was done again than was lost; the result is right all the same.
    """

    outcome: str
    redone: Redone
    events_missing: int = 0
    is_over: bool = False


def check(stage, *, holes=False, is_bounded=True):
    """Hold the run against the reference.

    Parameters
    ----------
    holes : bool
        Whether events are really gone; then they must be, and must be named.
    is_bounded : bool
        Whether the work done again has a bound in this scenario.

    Raises
    ------
    AssertionError
    """
    proof = verify(stage)
    assert proof["proved"], f"not proved: {proof}"
    result = bp.load(stage.run_dir)
    accounting = result.accounting
    assert accounting.balances, accounting
    planned, processed = accounting.events_planned, accounting.events_processed
    ledger = stage.committed()
    ranges = [place for segment in ledger for place in segment.done]
    assert processed == sum(stop - start for _, start, stop in ranges)
    expected = stage.content.expect(ranges if holes else None)
    differences = expected.differences(result.output)
    assert not differences, differences
    if holes:
        assert not result.is_complete, "the run says that it is complete"
        assert result.failures, "nothing is said about the holes"
        assert not proof["complete"], proof
    else:
        assert result.status == "complete", (result.status, result.failures[:3])
        assert result.is_complete
        assert not result.failures
        assert processed == planned
        assert proof["complete"], proof
    blows = [*stage.blows, *blows_by_chunks(stage)]
    redone = count_redone(stage.trace, ledger, blows, CHUNK)
    is_over = is_bounded and redone.redone > redone.bound
    return Checked("honest" if holes else "exact", redone, planned - processed, is_over)


def blows_by_chunks(stage):
    """The deaths that chunks themselves brought about."""
    return [Blow(line.time, (line.pid,)) for line in stage.trace.lines("trouble")]


def verify(stage):
    """`beampipe verify`, in a process of its own."""
    output = stage.folder / f"verify-{len(list(stage.folder.glob('verify-*')))}.json"
    child = stage.nursery.start(
        "tests.chaos.nursery:beampipe", ["verify", stage.run_dir, "--json"], output
    )
    code = child.wait()
    text = output.read_text()
    try:
        proof = json.loads(text)
    except ValueError as error:
        raise AssertionError(f"beampipe verify ended with {code} and said: {text}") from error
    assert (code == 0) == proof["proved"], (code, proof)
    return proof
