"""When failures are enough to end a run."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from beampipe.errors import (
    ColumnNotFoundError,
    ExecutionError,
    ProcessorOutputError,
    ProcessorPickleError,
    RunStoppedError,
    SchemaError,
    join_fixes,
)
from beampipe.execution.budgets import BudgetTally
from beampipe.execution.manifest import FailedChunk, Manifest

_STRIKES = 3
# What is wrong with the processor as such; leaving chunks out would leave all of them out.
_NO_CHUNK_IS_SPARED = {
    ColumnNotFoundError.code,
    ProcessorOutputError.code,
    ProcessorPickleError.code,
    SchemaError.code,
}


@dataclass(slots=True)
class Strikes:
    """Counts chunks that failed for good.

    Attributes
    ----------
    on_error : str
        ``"stop"`` ends the run after the same error has struck a few times, ``"skip"`` goes on.
    budget : BudgetTally or None
        With ``"skip"``: how much of a dataset may fail.
    """

    on_error: str = "stop"
    budget: BudgetTally | None = None
    _struck: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    def take(self, manifest: Manifest) -> ExecutionError | None:
        """Count what a manifest says of failures; the error that ends the run, if one does."""
        stop: ExecutionError | None = None
        for failure in manifest.failed:
            self._struck[failure.signature] += 1
            if self.on_error == "stop" and self._struck[failure.signature] >= _STRIKES:
                stop = stop or stopped_on_errors(failure)
        if self.budget is not None:
            stop = stop or self.budget.take(manifest.dataset, manifest.failed)
        return stop

    def give_back(self, manifest: Manifest) -> None:
        """Forget the failures of a value that was thrown away: its chunks are done again."""
        if self.budget is not None:
            self.budget.give_back(manifest.dataset, manifest.failed)


def stopped_on_errors(failure: FailedChunk) -> RunStoppedError:
    """The error that ends a run whose chunks fail."""
    place = f"in entries {failure.start} to {failure.stop} of {failure.url} [{failure.code}]"
    message = failure.message.rstrip(".")
    fixes = [failure.fix] if failure.fix else ["mend it and run anew"]
    if failure.code not in _NO_CHUNK_IS_SPARED:
        fixes.append('leave such chunks out with on_error="skip" (--on-error skip)')
    return RunStoppedError(
        f"The run was stopped by {failure.error_type}{f': {message}' if message else ''}.",
        why=f"{failure.why}; {place}" if failure.why else place,
        fix=join_fixes(*fixes),
        failure=failure,
    )
