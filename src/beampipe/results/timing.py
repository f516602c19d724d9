"""Where a run's time went, stage by stage and in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from beampipe.results.advice import Figures, advise
from beampipe.results.quantities import format_seconds

WORKER_STAGES = {
    "open": "opening files",
    "fetch": "waiting for storage",
    "decompress": "decompressing",
    "interpret": "turning bytes into arrays",
    "read": "reading columns",
    "keep": "keeping columns for the next run",
    "compute": "in the processor",
    "fill": "filling histograms",
    "merge": "adding and merging outputs",
    "wait": "waiting for work",
}
"""In the order in which a chunk goes through them; `wait` is what is left of the workers' time."""
DRIVER_STAGES = {
    "plan": "planning",
    "reuse": "taking over earlier results",
    "start": "starting workers",
    "pull": "fetching results",
    "commit": "writing the ledger",
}
SETTINGS = {
    "allocator": "the allocator's thresholds (MALLOC_TRIM_THRESHOLD_, ...)",
    "threads": "one thread for NumPy's libraries (OMP_NUM_THREADS, ...)",
    "profiler": "a slow profiler (distributed.worker.profile.interval)",
    "saturation": "enough tasks at hand (distributed.scheduler.worker-saturation)",
}
_WITHIN_READING = ("fetch", "decompress", "interpret")
_OF_WORKERS = {*WORKER_STAGES, "process", "add"}
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
        Seconds summed over worker threads, waiting included; seconds of the driver. Stages not
        measured are not there.
    sentences : tuple of str
        The same in words.
    advice : tuple of str
        What would help, from what was measured; empty when nothing stands out.
    """

    workers: tuple[Stage, ...]
    driver: tuple[Stage, ...]
    sentences: tuple[str, ...]
    advice: tuple[str, ...]

    @property
    def line(self) -> str:
        """The workers' shares in one line, the largest first; empty where nothing was measured."""
        return _list_shares(self.workers)

    def to_json(self) -> dict[str, Any]:
        """What ``--json`` tells of it."""
        return asdict(self)


def explain_timing(metrics: Mapping[str, Any]) -> Timing:
    """Explain a run's metrics.

    Parameters
    ----------
    metrics : mapping
        As in ``outcome.json``: ``stages_s``, ``wall_s``, ``threads_s``, ..., as far as they
        were measured.

    Returns
    -------
    Timing
        Empty where nothing was measured.
    """
    seconds = {str(name): float(value) for name, value in metrics.get("stages_s", {}).items()}
    workers = _list_stages(_split_work(seconds), WORKER_STAGES)
    others = {name: name for name in seconds if name not in _OF_WORKERS | DRIVER_STAGES.keys()}
    driver = _list_stages(seconds, {**DRIVER_STAGES, **others})
    busy = _find_busy_share(workers, metrics)
    sentences = [*_write_sentences(workers, driver, busy), *_tell_unset(metrics)]
    figures = Figures(
        wall_s=float(metrics.get("wall_s") or 0),
        work_s=sum(stage.seconds for stage in _without_wait(workers)),
        stages={stage.name: stage.seconds for stage in workers},
        driver={stage.name: stage.seconds for stage in driver},
        busy=busy,
        metrics=metrics,
    )
    return Timing(workers, driver, tuple(sentences), advise(figures))


def _tell_unset(metrics: Mapping[str, Any]) -> list[str]:
    """Say which settings a cluster that was given does not have."""
    unset = [SETTINGS.get(name, name) for name in metrics.get("settings_unset", ())]
    return [f"What this cluster is not set to: {'; '.join(unset)}."] if unset else []


def _split_work(seconds: Mapping[str, float]) -> dict[str, float]:
    """Take apart what is recorded as a whole: reading, the processor, adding and merging."""
    split = {name: seconds[name] for name in ("open", "wait") if name in seconds}
    within = {name: seconds[name] for name in _WITHIN_READING if seconds.get(name, 0) > 0}
    split |= within
    if "read" in seconds:
        # Where reading is not taken apart, it is shown as one.
        split["read"] = max(seconds["read"] - sum(within.values()), 0.0)
        if within and split["read"] < _MIN_SHARE * seconds["read"]:
            del split["read"]
    fill = seconds.get("fill", 0.0)
    split |= {name: seconds[name] for name in ("keep", "fill") if seconds.get(name, 0) > 0}
    if "process" in seconds:
        split["compute"] = max(seconds["process"] - fill, 0.0)
    if "add" in seconds or "merge" in seconds:
        split["merge"] = seconds.get("add", 0.0) + seconds.get("merge", 0.0)
    return split


def _list_stages(seconds: Mapping[str, float], meanings: Mapping[str, str]) -> tuple[Stage, ...]:
    return _share_out(
        [Stage(name, meanings[name], seconds[name], 0.0) for name in meanings if name in seconds]
    )


def _share_out(stages: Sequence[Stage]) -> tuple[Stage, ...]:
    total = sum(stage.seconds for stage in stages)
    if total <= 0:
        return ()
    return tuple(replace(stage, share=stage.seconds / total) for stage in stages)


def _without_wait(workers: tuple[Stage, ...]) -> list[Stage]:
    return [stage for stage in workers if stage.name != "wait"]


def _find_busy_share(workers: tuple[Stage, ...], metrics: Mapping[str, Any]) -> float | None:
    """Find how much of the workers' time was work; None if it was not measured.

    Reading ahead goes on beside the work, so the stages may add up to more than the time.
    """
    if metrics.get("threads_s"):
        return min(float(metrics.get("work_s") or 0) / float(metrics["threads_s"]), 1.0)
    # Of runs before that was recorded.
    available = float(metrics.get("wall_s") or 0) * float(metrics.get("n_workers") or 0)
    if not workers or available <= 0:
        return None
    return min(sum(stage.seconds for stage in _without_wait(workers)) / available, 1.0)


def _write_sentences(
    workers: tuple[Stage, ...], driver: tuple[Stage, ...], busy: float | None
) -> tuple[str, ...]:
    sentences = []
    working = _share_out(_without_wait(workers))
    if working:
        total = sum(stage.seconds for stage in working)
        shares = _list_shares(working)
        sentences.append(f"The workers worked {format_seconds(total)} in all: {shares}.")
    if busy is not None:
        sentences.append(f"They were at work for {100 * busy:.0f} % of the time they were there.")
    if driver:
        longest = max(driver, key=lambda stage: stage.seconds)
        spent = sum(stage.seconds for stage in driver)
        sentences.append(
            f"The driver spent {format_seconds(spent)}, most of it {longest.meaning} "
            f"({format_seconds(longest.seconds)})."
        )
    return tuple(sentences)


def _list_shares(stages: tuple[Stage, ...]) -> str:
    ordered = sorted(stages, key=lambda stage: -stage.share)
    seen = [stage for stage in ordered if stage.share >= _MIN_SHARE]
    return ", ".join(f"{100 * stage.share:.0f} % {stage.meaning}" for stage in seen)
