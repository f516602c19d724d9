"""Whether a run is whole, in one word and one sentence; every page and printout says it alike."""

from __future__ import annotations

from dataclasses import dataclass

from beampipe.execution.accounting import Accounting
from beampipe.results.quantities import count_noun, format_share

_REASONS = {
    "failed": "The run stopped on errors.",
    "interrupted": "The run was interrupted.",
    "running": "The run was not finished when this was written.",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """How whole a run is.

    Attributes
    ----------
    word : str
        ``"COMPLETE"``, or what is the matter in one word: ``"INCOMPLETE"``, ``"FAILED"``,
        ``"INTERRUPTED"``, ``"RUNNING"``, ``"DOES NOT BALANCE"``.
    sentence : str
        The counts behind the word.
    is_complete : bool
        Whether the run ended well, every event of every file was processed, and the accounting
        balances.
    lacks_events : bool
        Whether events are missing; a run can have been interrupted after its last event.
    """

    word: str
    sentence: str
    is_complete: bool
    lacks_events: bool = False

    @property
    def headline(self) -> str:
        """The word, with INCOMPLETE beside it wherever something is missing."""
        if not self.lacks_events or self.word == "INCOMPLETE":
            return self.word
        return f"{self.word}, INCOMPLETE"


def judge_run(status: str, accounting: Accounting) -> Verdict:
    """Judge a run by its status and its accounting; the worse of the two counts.

    Parameters
    ----------
    status : str
        The recorded status.
    accounting : Accounting
        The sums computed from the ledger.

    Returns
    -------
    Verdict
        Complete only when the status says so, every dataset is complete, and the sums balance.
    """
    if not accounting.balances:
        names = ", ".join(d.name for d in accounting.datasets if not d.balances)
        sentence = f"The sums of {names} do not add up; do not use this result. "
        sentence += count_events(accounting)
        return Verdict("DOES NOT BALANCE", sentence, is_complete=False, lacks_events=True)
    lacks_events = not accounting.is_complete
    if lacks_events:
        sentence = count_events(accounting)
    else:
        files = sum(dataset.files for dataset in accounting.datasets)
        sentence = (
            f"All {accounting.events_planned:,} events of {count_noun(files, 'file')} "
            "were processed, each once."
        )
    if status == "complete" and not lacks_events:
        return Verdict("COMPLETE", sentence, is_complete=True)
    word = "INCOMPLETE" if status in {"complete", "incomplete"} else status.upper()
    sentence = f"{_REASONS.get(status, '')} {sentence}".strip()
    return Verdict(word, sentence, is_complete=False, lacks_events=lacks_events)


def count_events(accounting: Accounting) -> str:
    """Say what was processed and what is missing."""
    failed = sum(dataset.events_failed for dataset in accounting.datasets)
    not_reached = sum(dataset.events_not_reached for dataset in accounting.datasets)
    uncounted = sum(dataset.files_uncounted for dataset in accounting.datasets)
    share = format_share(accounting.events_processed, accounting.events_planned)
    text = (
        f"{accounting.events_processed:,} of {accounting.events_planned:,} events processed "
        f"({share}), {failed:,} failed, {not_reached:,} not reached."
    )
    if uncounted:
        text += (
            f" {count_noun(uncounted, 'file')} could not be counted: their events are not known."
        )
    return text
