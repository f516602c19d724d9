"""One driver's work on a run directory, from taking the ledger to writing the outcome."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cloudpickle

from beampipe.datasets.model import Plan
from beampipe.datasets.plan_format import plan_to_json
from beampipe.environments.code_archive import pack_modules
from beampipe.environments.inputs import list_inputs
from beampipe.environments.own_code import users_code_importable
from beampipe.errors import (
    BeampipeError,
    ProcessorFailedError,
    RunHeldError,
    RunStorageError,
    TrustError,
)
from beampipe.execution.accounting import account, list_failures, tally_manifests
from beampipe.execution.assembly import assemble_driver, make_budget
from beampipe.execution.bundles import RunContext
from beampipe.execution.driver import Driver, DriverOptions
from beampipe.execution.history import ACCEPTED, read_history
from beampipe.execution.interrupts import interrupted
from beampipe.execution.ledger import Ledger
from beampipe.execution.pool import Pool
from beampipe.execution.processors import Processor
from beampipe.execution.progress import Notify, ignore
from beampipe.execution.provenance import collect_versions
from beampipe.execution.record import RunRecord
from beampipe.execution.record_reader import (
    add_datasets,
    is_own_directory,
    read_incidents,
    read_plan,
    read_record,
    write_result,
)
from beampipe.execution.run_directory import (
    RunDirectory,
    check_member,
    create_run_directory,
    open_run_directory,
)
from beampipe.execution.segments import Segment
from beampipe.execution.shipping import pickle_processor
from beampipe.execution.storage import dump_sealed, storage_errors, write_atomic
from beampipe.execution.strikes import stopped_on_errors
from beampipe.execution.summing import sum_segments, why_not_reproducible
from beampipe.execution.worker_settings import UNSET

_INCIDENTS = 500  # of all drivers of a run
WORKER_STAGES = (
    *("open", "read", "fetch", "decompress", "interpret"),
    *("keep", "process", "fill", "add", "merge"),
)
DRIVER_STAGES = ("pull", "commit")
_READING_COUNTS = (
    *("bytes_cached", "columns_cached", "columns_indexed", "columns_uproot"),
    *("chunks_full_form", "chunks_again", "chunks_ahead"),
    *("indexes_made", "indexes_stored", "indexes_sent"),
)


@dataclass(frozen=True, slots=True)
class Job:
    """A run that is laid out on disk and can be driven, now or later."""

    directory: RunDirectory
    run_id: str
    name: str
    plan: Plan
    context: RunContext
    processor: Processor
    options: Mapping[str, Any] = field(default_factory=dict)


def make_context(
    processor: Processor,
    schema: Any,
    plan: Plan,
    *,
    modules: Iterable[str] = (),
    inputs: Iterable[Path] = (),
) -> RunContext:
    """Pack what every worker needs.

    Parameters
    ----------
    modules : iterable of str
        What the processor imports when it runs.
    inputs : iterable of Path
        Files that it reads besides the ROOT files.

    Raises
    ------
    ProcessorPickleError
        ``processor-pickle``
    """
    payload = pickle_processor(processor, schema)
    metadata = {dataset.name: dict(dataset.metadata) for dataset in plan.datasets}
    digest = hashlib.sha256(payload).hexdigest()
    code = pack_modules(modules)
    return RunContext(digest, payload, metadata, code=code, inputs=list_inputs(inputs))


def lay_out(  # noqa: PLR0913 (all that a run is made of)
    path: Path,
    plan: Plan,
    processor: Processor,
    *,
    context: RunContext,
    name: str,
    provenance: Mapping[str, Any],
    options: Mapping[str, Any],
) -> Job:
    """Make the run directory of a new run.

    Raises
    ------
    RunDirectoryExistsError, RunStorageError
    """
    run_id = secrets.token_hex(8)
    run = {
        # First of all: who looks for runs of an identity reads only the beginning of the file.
        "identity": provenance.get("identity", {}).get("digest", ""),
        "beampipe": collect_versions().get("beampipe", ""),
        "run_id": run_id,
        "name": name,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "options": dict(options),
        "provenance": dict(provenance),
    }
    packed = cloudpickle.dumps(context)
    directory = create_run_directory(path, run=run, plan=plan_to_json(plan), processor=packed)
    return Job(directory, run_id, name, plan, context, processor, options)


def load_job(path: Path) -> Job:
    """Take up a run that is there.

    Raises
    ------
    NotARunError, RunFormatError
    TrustError
        ``run-trust``: the directory is not the user's own, and the processor is a pickle.
    """
    directory, run = open_run_directory(path)
    if not is_own_directory(path):
        raise TrustError(
            f"{path} is not yours alone, so the processor in it is not loaded.",
            why="it belongs to somebody else, or others may write to it, and a pickle can run "
            "any code",
            fix="copy the directory and look at it, or run the analysis anew",
        )
    context = _load_context(directory, run)
    processor, _ = cloudpickle.loads(context.payload)
    return Job(
        directory=directory,
        run_id=run["run_id"],
        name=run["name"],
        plan=read_plan(directory, run),
        context=context,
        processor=processor,
        options=run.get("options", {}),
    )


def _load_context(directory: RunDirectory, run: Mapping[str, Any]) -> RunContext:
    path = directory.processor_file
    for entry in read_history(directory.path):
        if entry.get("what") == ACCEPTED and entry.get("processor"):
            path = directory.path / Path(entry["processor"]).name
            run = {"sha256": {path.name: entry["sha256"]}}
    with storage_errors(path, verb="read"):
        packed = path.read_bytes()
    check_member(run, path, packed)  # before anything in it is believed
    context: RunContext = cloudpickle.loads(packed)
    return context


def execute(
    job: Job,
    pool: Pool,
    *,
    options: DriverOptions,
    notify: Notify = ignore,
    begun: float | None = None,
    stages_s: Mapping[str, float] | None = None,
) -> RunRecord:
    """Do what is missing of a run, and record how it ended.

    Parameters
    ----------
    begun : float, optional
        When the work for this run began (`time.monotonic`), planning and start-up included.
    stages_s : dict of str to float, optional
        Seconds that went before, by stage.

    Returns
    -------
    RunRecord
        Complete, or with holes (`on_error="skip"`).

    Raises
    ------
    RunStoppedError, RunBudgetExceededError, RunInterruptedError, AccumulationError, ...
        The run ended early; what was done is committed and the outcome is written.
        The error has the fact `run_dir`.
    """
    begun = time.monotonic() if begun is None else begun
    check_files(job.plan, options, run_dir=job.directory.path)
    ledger = Ledger.take(job.directory, run_id=job.run_id, driver=secrets.token_hex(8))
    try:
        _drive(job, pool, ledger, options, notify, _Clock(begun, stages_s or {}))
    finally:
        ledger.release()
    # What the ledger holds was checked when it was taken, or written since: not all over again.
    return read_record(job.directory.path, trust=True, segments=ledger.segments())


def check_files(plan: Plan, options: DriverOptions, **facts: Any) -> None:
    """Refuse to begin where the files that could not be counted are too much already.

    Raises
    ------
    RunBudgetExceededError
        ``run-budget-exceeded``
    """
    budget = make_budget(plan, options)
    error = budget.check_files(plan) if budget is not None else None
    if error is not None:
        error.add_facts(**facts)
        raise error


@dataclass(frozen=True, slots=True)
class _Clock:
    """When a run began, and what its time went into before the driver."""

    begun: float
    stages_s: Mapping[str, float]


def _drive(
    job: Job, pool: Pool, ledger: Ledger, options: DriverOptions, notify: Notify, clock: _Clock
) -> None:
    before = ledger.segments()
    tally = tally_manifests(segment.manifest for segment in before)
    driver = assemble_driver(
        job.plan, tally, pool=pool, ledger=ledger, options=options, notify=notify
    )
    status = "failed"
    is_overtaken = False
    try:
        driver.run()
        ledger.confirm()
        status = _finish(job, ledger, options)
    except KeyboardInterrupt as error:
        status = "interrupted"
        raise interrupted(job.directory.path) from error
    except BeampipeError as error:
        error.add_facts(run_dir=job.directory.path)
        is_overtaken = isinstance(error, RunHeldError)
        raise
    finally:
        course = _describe_course(job, driver, pool, clock)
        try:
            if not is_overtaken:  # how the run ends is for the other driver to tell
                write_outcome(job, ledger, before, status=status, course=course)
        except (RunHeldError, RunStorageError) as error:
            # On a full disk the outcome cannot be written either, and it can be lost; what
            # ended the run must not be hidden by that.
            if status in {"complete", "incomplete"}:
                error.add_facts(run_dir=job.directory.path)
                raise


def _finish(job: Job, ledger: Ledger, options: DriverOptions) -> str:
    """Sum the ledger up, let the processor finish, keep the result; say how it ended."""
    segments = ledger.segments()
    tally = tally_manifests(segment.manifest for segment in segments)
    is_complete = account(job.plan, tally).is_complete
    with users_code_importable(job.processor.origin):  # `resume` may start in any folder
        by_dataset = sum_segments(segments, trust=True)
    output = _postprocess(job.processor, add_datasets(by_dataset))
    ledger.confirm()  # adding up may have taken long, and the result be another's by now
    write_result(job.directory, segments, output, by_dataset)
    failed = [failure for dataset in tally.values() for failure in dataset.failed.values()]
    if failed and options.on_error == "stop":
        raise stopped_on_errors(failed[0])
    return "complete" if is_complete else "incomplete"


def _postprocess(processor: Processor, output: Any) -> Any:
    try:
        return processor.postprocess(output)
    except Exception as error:  # (the user's code may raise anything)
        raise ProcessorFailedError(
            f"The processor's postprocess raised {type(error).__name__}: {error}",
            why="all chunks are done and committed",
            fix="`beampipe.load` of the run directory gives the sum before postprocess",
        ) from error


def write_outcome(
    job: Job, ledger: Ledger, before: list[Segment], *, status: str, course: Mapping[str, Any]
) -> None:
    """Record how a driver ended."""
    reused = {segment.number for segment in before}
    segments = ledger.segments()
    tally = tally_manifests(
        (segment.manifest for segment in segments if segment.number not in reused),
        reused=(segment.manifest for segment in segments if segment.number in reused),
    )
    outcome = {
        "status": status,
        "driver": ledger.driver,
        **course,
        "accounting": account(job.plan, tally).to_json(),
        "failures": [asdict(failure) for failure in list_failures(job.plan, tally)],
        "reused_segments": sorted(reused),
    }
    ledger.confirm()
    write_atomic(job.directory.outcome_file, dump_sealed(outcome, indent=1))


def _describe_course(job: Job, driver: Driver, pool: Pool, clock: _Clock) -> dict[str, Any]:
    """What a run took, and what went wrong and was got over."""
    metrics = _metrics(driver, pool, clock)
    if driver.options.reproducible:
        why_not = why_not_reproducible(job.plan, driver.committer.ledger.segments())
        metrics |= {"reproducible": not why_not, "reproducible_why": why_not}
    return {
        "wall_s": metrics["wall_s"],
        "metrics": metrics,
        "incidents": [*read_incidents(job.directory), *driver.incidents.to_json()][-_INCIDENTS:],
    }


def _metrics(driver: Driver, pool: Pool, clock: _Clock) -> dict[str, Any]:
    wall_s = time.monotonic() - clock.begun
    counted = driver.metrics
    stages = dict(clock.stages_s)
    for stage in (*WORKER_STAGES, *DRIVER_STAGES):
        stages[stage] = counted.get(f"{stage}_s", 0.0)
    at_work_s = counted.get("bundle_s", 0.0) + stages["merge"]
    # What was done and lost with a worker was waiting, too: nothing came of it.
    stages["wait"] = max(driver.meter.threads_s - at_work_s, 0.0)
    events = counted.get("events", 0.0)
    return {
        "wall_s": wall_s,
        "events": int(events),
        "events_per_s": events / wall_s if wall_s > 0 else 0.0,
        "bytes_read": int(counted.get("bytes_read", 0.0)),
        "n_workers": pool.n_workers(),
        "chunks": driver.meter.chunks_done,
        "n_bundles": int(counted.get("bundles", 0.0)),
        "bundles_lost": int(counted.get("bundles_lost", 0.0)),
        "partials_refused": int(counted.get("partials_refused", 0.0)),
        "commits": int(counted.get("commits", 0.0)),
        "retries": int(counted.get("retries", 0.0)),
        "workers_died": driver.casualties.n_died,
        "chunks_split": sum(len(one.manifest.split) for one in driver.committer.ledger.segments()),
        "twins": int(counted.get("twins", 0.0)),
        **{name: int(counted.get(name, 0.0)) for name in _READING_COUNTS},
        "settings_unset": _list_unset(driver),
        "threads_s": driver.meter.threads_s,
        "work_s": at_work_s,
        "stages_s": stages,
    }


def _list_unset(driver: Driver) -> list[str]:
    """Settings that some worker, or the scheduler, does not have."""
    of_workers = (name.removeprefix(UNSET) for name in driver.metrics if name.startswith(UNSET))
    return sorted({*of_workers, *driver.options.unset})
