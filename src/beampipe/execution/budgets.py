"""How much of a dataset may fail before a run that skips failures stops.

A percentage is of the events of the dataset; a plain number is events. Files that could not be
counted count too: how many events they hold is not known, so each is taken to hold as many as
the counted files of its dataset do on average, and a dataset without a counted file is failed
altogether.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

from beampipe.datasets.model import DatasetPlan, Plan
from beampipe.errors import RunBudgetExceededError, join_fixes
from beampipe.execution.manifest import ChunkKey, FailedChunk
from beampipe.settings import parse_budget

ANYTHING = "100%"
_STEPS_PERCENT = (1, 2, 5, 10, 20, 50)
_MAX_REASONS = 3
_MEND_CHUNKS = (
    "mend the cause (`beampipe show RUN --failures` tells of each) and `beampipe resume RUN`"
)
# A file that could not be counted is not in the plan, so `resume` would not look at it again.
_MEND_FILES = "mend the files or take them out (`beampipe plan` lists them), and run anew"


@dataclass(frozen=True, slots=True)
class DatasetSize:
    """What a dataset has to lose.

    Attributes
    ----------
    planned : int
        Events in its counted files [events].
    files, uncounted : int
        All its files, and those that could not be counted.
    """

    planned: int
    files: int
    uncounted: int = 0

    @classmethod
    def of(cls, dataset: DatasetPlan) -> Self:
        """The size of a planned dataset."""
        uncounted = len(dataset.uncounted)
        return cls(dataset.n_events, len(dataset.files) + uncounted, uncounted)

    @property
    def is_unknown(self) -> bool:
        """Whether no file of it could be counted, so that all of it is missing."""
        return 0 < self.uncounted == self.files

    @property
    def assumed(self) -> int:
        """Events that the uncounted files are taken to hold, rounded up [events]."""
        counted = self.files - self.uncounted
        return -(-self.planned * self.uncounted // counted) if counted else 0


@dataclass(frozen=True, slots=True)
class FailureBudget:
    """How much of each dataset may fail.

    Attributes
    ----------
    text : str
        As it is written: ``"1%"``, ``"100"``.
    share : float or None
        At most this part of a dataset's events, 0 to 1.
    events : int or None
        At most so many events of a dataset; one of the two is None.
    """

    text: str
    share: float | None
    events: int | None

    @classmethod
    def from_text(cls, text: str | int) -> Self:
        """Read ``"1%"``, ``"0.5 %"`` (of a dataset's events) or ``"100"`` (events).

        Raises
        ------
        ValueError
            It is neither.

        Examples
        --------
        >>> FailureBudget.from_text("0.5 %").share
        0.005
        >>> FailureBudget.from_text("100").events
        100
        """
        share, events = parse_budget(text)
        return cls(str(text).strip(), share, events)

    def allows(self, failed: int, size: DatasetSize) -> bool:
        """Whether so many failed events of counted files are within the budget."""
        if self.share is not None and self.share >= 1:
            return True
        if size.is_unknown:
            return False  # nobody can say how many events these are
        lost = failed + size.assumed
        if self.events is not None:
            return lost <= self.events
        # In integers as far as it goes: 1 % of 300 events are 3, and 3 of them are within it.
        return lost <= (self.share or 0.0) * (size.planned + size.assumed) * (1 + 1e-12)

    def check(
        self,
        dataset: str,
        failed: int,
        size: DatasetSize,
        *,
        reasons: Mapping[str, int] | None = None,
    ) -> RunBudgetExceededError | None:
        """The error of a dataset that lost too much; None for one that did not.

        Parameters
        ----------
        dataset : str
            Its name.
        failed : int
            Events of its counted files that failed for good [events].
        size : DatasetSize
            What it has to lose.
        reasons : mapping of str to int, optional
            How often each reason was given, for the message.
        """
        if self.allows(failed, size):
            return None
        # (unary plus leaves out what was forgotten again)
        return self._make_error(dataset, failed, size, +Counter(reasons or {}))

    def _make_error(
        self, dataset: str, failed: int, size: DatasetSize, reasons: Counter[str]
    ) -> RunBudgetExceededError:
        lost, whole = failed + size.assumed, size.planned + size.assumed
        why = f"at most {self._describe()} may fail, and {_describe_loss(failed, size)}"
        if reasons:
            said = (f"{reason} ({n} ×)" for reason, n in reasons.most_common(_MAX_REASONS))
            why += f"; most often: {', '.join(said)}"
        return RunBudgetExceededError(
            f"Too much of dataset {dataset!r} failed.",
            why=why,
            fix=join_fixes(
                _MEND_CHUNKS if failed else _MEND_FILES,
                f"allow more with --max-failed {_suggest(lost, whole)}",
            ),
            dataset=dataset,
            failed=lost,
            planned=whole,
            budget=self.text,
            reasons=dict(reasons.most_common()),
        )

    def _describe(self) -> str:
        if self.events is not None:
            return f"{self.events:,} events of a dataset"
        return f"{100 * (self.share or 0.0):g} % of a dataset"


def _describe_loss(failed: int, size: DatasetSize) -> str:
    if size.is_unknown:
        return f"none of its {size.files:,} files could be counted"
    lost, whole = failed + size.assumed, size.planned + size.assumed
    text = f"{lost:,} of {whole:,} events ({100 * lost / whole:.3g} %) did" if whole else "it did"
    if size.uncounted:
        text += (
            f", with {size.uncounted:,} of {size.files:,} files that could not be counted and are "
            f"taken to hold {size.assumed:,} events"
        )
    return text


def _suggest(lost: int, whole: int) -> str:
    """A round budget with room for twice as much as was lost."""
    percent = 200 * lost / whole if whole else 100
    return f"{next((step for step in _STEPS_PERCENT if step >= percent), 100)}%"


@dataclass(slots=True)
class BudgetTally:
    """Counts, while a run goes on, what failed for good; constant work per failure.

    A chunk counts once however often it is reported, and a value that is thrown away takes its
    failures with it, since those chunks are done again.
    """

    budget: FailureBudget
    sizes: Mapping[str, DatasetSize]
    _failed: dict[tuple[str, ChunkKey], int] = field(default_factory=dict)
    _events: Counter[str] = field(default_factory=Counter)
    _reasons: dict[str, Counter[str]] = field(default_factory=dict)

    @classmethod
    def of_plan(cls, plan: Plan, budget: FailureBudget) -> Self:
        """A tally for the datasets of a plan."""
        return cls(budget, {dataset.name: DatasetSize.of(dataset) for dataset in plan.datasets})

    def check_files(self, plan: Plan) -> RunBudgetExceededError | None:
        """Whether files that could not be counted are too much already, before any work."""
        for dataset in plan.datasets:
            reasons = Counter(
                f"{type(file.error).__name__} [{file.error.code}]" for file in dataset.uncounted
            )
            size = self.sizes[dataset.name]
            if reasons and (error := self.budget.check(dataset.name, 0, size, reasons=reasons)):
                return error
        return None

    def take(self, dataset: str, failed: Iterable[FailedChunk]) -> RunBudgetExceededError | None:
        """Count chunks that failed for good; gives the error once they are too many."""
        reasons = self._reasons.setdefault(dataset, Counter())
        is_new = False
        for failure in failed:
            place = (dataset, (failure.uuid, failure.k))
            if place in self._failed:
                continue
            is_new = True
            self._failed[place] = failure.stop - failure.start
            self._events[dataset] += failure.stop - failure.start
            reasons[_name_reason(failure)] += 1
        if not is_new:
            return None
        return self.budget.check(
            dataset, self._events[dataset], self.sizes[dataset], reasons=reasons
        )

    def give_back(self, dataset: str, failed: Iterable[FailedChunk]) -> None:
        """Forget failures whose value was thrown away."""
        for failure in failed:
            events = self._failed.pop((dataset, (failure.uuid, failure.k)), None)
            if events is not None:
                self._events[dataset] -= events
                self._reasons[dataset][_name_reason(failure)] -= 1


def _name_reason(failure: FailedChunk) -> str:
    return f"{failure.error_type} [{failure.code}]"
