"""Where a run's time went, in shares and in words; advice only from what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from beampipe.results.quantities import format_seconds

_WORKER_STAGES = {
    "open": "opening files",
    "read": "reading columns",
    "process": "in the processor",
    "add": "adding outputs",
}
_DRIVER_STAGES = {
    "plan": "planning",
    "start": "starting workers",
    "merge": "merging",
    "pull": "fetching results",
    "commit": "writing the ledger",
}
# Below this, a run is over before its shares mean anything.
_MIN_ADVICE_S = 5.0
_MIN_SHARE = 0.005


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: `seconds` measured, `share` of its group (0 to 1), `meaning` in words."""

    name: str
    meaning: str
    seconds: float
    share: float


@dataclass(frozen=True, slots=True)
class Timing:
    """Where the time went.

    Attributes
    ----------
    workers, driver : tuple of Stage
        Seconds summed over workers; seconds of the driver. Stages not measured are not there.
    sentences : tuple of str
        The same in words.
    advice : tuple of str
        What would help, from what was measured; empty when nothing stands out.
    """

    workers: tuple[Stage, ...]
    driver: tuple[Stage, ...]
    sentences: tuple[str, ...]
    advice: tuple[str, ...]


def explain_timing(metrics: Mapping[str, Any]) -> Timing:
    """Explain a run's metrics.

    Parameters
    ----------
    metrics : mapping
        ``stages_s``, ``wall_s`` and ``n_workers``, as far as they were measured.

    Returns
    -------
    Timing
        Empty where nothing was measured.
    """
    seconds = {str(name): float(value) for name, value in metrics.get("stages_s", {}).items()}
    workers = _list_stages(seconds, _WORKER_STAGES)
    others = {name: name for name in seconds if name not in {**_WORKER_STAGES, **_DRIVER_STAGES}}
    driver = _list_stages(seconds, {**_DRIVER_STAGES, **others})
    busy = _find_busy_share(workers, metrics)
    sentences = _write_sentences(workers, driver, busy)
    return Timing(workers, driver, sentences, _advise(workers, seconds, busy, metrics))


def _list_stages(seconds: Mapping[str, float], meanings: Mapping[str, str]) -> tuple[Stage, ...]:
    measured = {name: seconds[name] for name in meanings if name in seconds}
    total = sum(measured.values())
    if total <= 0:
        return ()
    return tuple(
        Stage(name, meanings[name], value, value / total) for name, value in measured.items()
    )


def _find_busy_share(workers: tuple[Stage, ...], metrics: Mapping[str, Any]) -> float | None:
    """Find how much of the workers' wall time was work; None if it was not measured."""
    available = float(metrics.get("wall_s") or 0) * float(metrics.get("n_workers") or 0)
    if not workers or available <= 0:
        return None
    return min(sum(stage.seconds for stage in workers) / available, 1.0)


def _write_sentences(
    workers: tuple[Stage, ...], driver: tuple[Stage, ...], busy: float | None
) -> tuple[str, ...]:
    sentences = []
    if workers:
        ordered = sorted(workers, key=lambda stage: -stage.share)
        seen = [stage for stage in ordered if stage.share >= _MIN_SHARE]
        shares = ", ".join(f"{100 * stage.share:.0f} % {stage.meaning}" for stage in seen)
        total = sum(stage.seconds for stage in workers)
        sentences.append(f"The workers worked {format_seconds(total)} in all: {shares}.")
    if busy is not None:
        sentences.append(f"They were at work for {100 * busy:.0f} % of the run's wall time.")
    if driver:
        longest = max(driver, key=lambda stage: stage.seconds)
        total = sum(stage.seconds for stage in driver)
        sentences.append(
            f"The driver spent {format_seconds(total)}, most of it {longest.meaning} "
            f"({format_seconds(longest.seconds)})."
        )
    return tuple(sentences)


def _advise(
    workers: tuple[Stage, ...],
    seconds: Mapping[str, float],
    busy: float | None,
    metrics: Mapping[str, Any],
) -> tuple[str, ...]:
    wall = float(metrics.get("wall_s") or 0)
    if wall < _MIN_ADVICE_S:
        return ()
    worked = sum(stage.seconds for stage in workers)
    shares = {stage.name: stage.share for stage in workers if worked >= _MIN_ADVICE_S}
    advice = []
    if shares.get("process", 0) > 0.6:
        advice.append(
            "Most of the work is in the processor itself: more workers help, and so does a "
            "faster processor; reading is not the limit."
        )
    if shares.get("read", 0) > 0.6:
        advice.append(
            "Most of the work is reading: files closer to the workers, a quicker compression "
            "(zstd, lz4), or fewer columns would help; a faster processor would not."
        )
    if shares.get("open", 0) > 0.25:
        advice.append(
            "Much of the work is opening files: a larger chunksize, or larger files, would help."
        )
    overhead = seconds.get("plan", 0) + seconds.get("start", 0)
    if overhead > 0.4 * wall:
        advice.append(
            "Planning and starting workers took much of the run: a cluster that stays up, "
            "given as client=, saves the start."
        )
    elif busy is not None and busy < 0.4 and wall > 2 * _MIN_ADVICE_S:
        advice.append("The workers waited more than they worked: fewer of them would do.")
    return tuple(advice)
