"""The front door's main verb: plan a fileset, run a processor over it, return the result."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from beampipe.datasets.fileset import read_fileset
from beampipe.datasets.metadata_cache import MetadataCache
from beampipe.datasets.model import Plan
from beampipe.datasets.planning import Limits, make_plan
from beampipe.environments.inputs import InputFile, check_large_inputs, pack_inputs
from beampipe.environments.version_gate import versions_here
from beampipe.errors import join_fixes
from beampipe.execution.driver import DriverOptions
from beampipe.execution.engine import (
    Job,
    check_files,
    execute,
    lay_out,
    make_context,
)
from beampipe.execution.history import REMARK, add_to_history
from beampipe.execution.interrupts import resumable
from beampipe.execution.processors import load_processor
from beampipe.execution.provenance import collect_provenance
from beampipe.execution.run_directory import RunDirectory
from beampipe.execution.runs_index import new_run_directory
from beampipe.reading.column_cache import ColumnRoom
from beampipe.results.result import RunResult
from beampipe.runs.arguments import ON_ERROR, check_budget, check_choice, refuse_foreign
from beampipe.runs.credentials import (
    find_asking,
    tell,
    told_of_end,
    travelling,
    warn_of_credentials,
)
from beampipe.runs.display import show_counting, show_progress
from beampipe.runs.indexing import make_desk
from beampipe.runs.pools import (
    INLINE,
    check_client,
    find_differences,
    find_unset,
    gate_level,
    open_pool,
    prepared_workers,
)
from beampipe.runs.reusing import (
    Prospect,
    absolute_paths,
    has_any,
    look_ahead,
    places_to_look,
    take_over,
)
from beampipe.settings import Settings, load_settings

if TYPE_CHECKING:
    from distributed import Client

_NOT_NAMES = {"return", "foreign"}


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What a run is asked to do, after settings and defaults are filled in."""

    schema: Any = "NanoAODSchema"
    treename: str | None = None
    limits: Limits = field(default_factory=Limits)
    params: Mapping[str, Any] = field(default_factory=dict)
    run_dir: Path | None = None
    name: str | None = None
    fresh: bool = False
    reproducible: bool = False
    inputs: tuple[Path, ...] = ()
    reuse_from: tuple[Path, ...] = ()
    workers: int | None = None
    progress: bool = True
    settings: Settings = field(default_factory=load_settings)
    differences: Sequence[str] = ()
    packages: Sequence[str] = ()


def run(  # noqa: PLR0913 (the names of coffea's Runner, so that its arguments can be pasted in)
    processor: Any,
    fileset: Any,
    *,
    client: Client | Literal["inline"] | None = None,
    schema: Any = "NanoAODSchema",
    treename: str | None = None,
    chunksize: int | None = None,
    maxchunks: int | None = None,
    maxfiles: int | None = None,
    maxevents: int | None = None,
    on_error: str | None = None,
    max_failed: str | int | None = None,
    params: Mapping[str, Any] | None = None,
    run_dir: str | Path | None = None,
    name: str | None = None,
    fresh: bool = False,
    reproducible: bool = False,
    inputs: str | Path | Sequence[str | Path] = (),
    reuse_from: str | Path | Sequence[str | Path] = (),
    workers: int | None = None,
    checkpoint: float | None = None,
    progress: bool = True,
    **foreign: Any,
) -> RunResult:
    """Run a processor over a fileset, every event once.

    Parameters
    ----------
    processor : callable, ProcessorABC (instance or class) or str
        A function of events, a coffea processor, or where to find one:
        ``"file.py:name"`` or ``"package.module:name"``.
    fileset : path, str, list, dict or DataGroupSpec
        A file, a directory, a glob, a list of them, ``{dataset: ...}``, any fileset of coffea,
        or a fileset file (TOML, JSON, YAML).
    client : distributed.Client or "inline", optional
        Any Dask cluster; it is used and left alone. By default one worker process per core
        of this machine, ended afterwards. ``"inline"`` runs in this process: breakpoints work.
    schema : str, type or None, default "NanoAODSchema"
        A coffea schema by name or class; None for plain Awkward arrays of branches.
    treename : str, optional
        The tree to read; found when a file holds one obvious tree (``Events`` first).
    chunksize : int, default 250_000
        Wanted size of a chunk [events].
    maxchunks, maxfiles, maxevents : int, optional
        Per dataset: a trial on the first chunks, files or events only.
    on_error : {"stop", "skip"}, default "stop"
        What failing chunks and unusable files do: end the run with everything done so far
        kept, or be recorded and left out.
    max_failed : str or int, optional
        With ``on_error="skip"``: how much of a dataset may fail before the run stops, as a
        percentage of its events (``"1%"``) or a number of events (``100``). A file that could
        not be counted is taken to hold as many events as the others of its dataset on average.
        By default all of it.
    params : dict, optional
        Keyword arguments of a function, constructor arguments of a class.
    run_dir : path, optional
        The run directory; by default a new one below the setting `run_root`.
    name : str, optional
        A name for people; by default the processor's.
    reproducible : bool, default False
        Add in an order that the plan alone fixes: floating-point sums are then the same to the
        last bit for any number of workers and whatever happens to them, on processors of one
        kind. ``result.metrics["reproducible"]`` says whether that was kept.
    fresh : bool, default False
        Take nothing from earlier runs. By default chunks that an earlier run of the same code,
        parameters, versions and inputs has done are taken from it.
    inputs : path or list of path, optional
        Files and folders that the processor reads besides the ROOT files: corrections, lists of
        good runs. A change of what is in them is a change of the analysis.
    reuse_from : path or list of path, optional
        Run directories, or folders of them, to take from besides the setting `run_root`.
    workers : int, optional
        Worker processes when no client is given; 0 means ``client="inline"``.
    checkpoint : float, default 30
        Least time between two commits [s].
    progress : bool, default True
        Show how far it is, on standard error or in the notebook.

    Returns
    -------
    RunResult
        With `output`, `by_dataset`, `accounting`, `failures`, `metrics`, `provenance`, `run_dir`.

    Raises
    ------
    BeampipeError
        Every known mistake and failure, with code, reason and remedy
        (``docs/reference/errors.md``). With `on_error="stop"` a chunk that fails ends in
        `RunStoppedError`. What was done is in the error's `run_dir`.
    """
    refuse_foreign(foreign, [name for name in run.__annotations__ if name not in _NOT_NAMES])
    check_choice("on_error", on_error, ON_ERROR)
    settings = load_settings(
        chunksize=chunksize,
        on_error=on_error,
        max_failed=max_failed,
        workers=workers,
        checkpoint_s=checkpoint,
    )
    check_budget(max_failed, settings.on_error)
    options = RunOptions(
        schema=schema,
        treename=treename,
        limits=Limits(maxfiles=maxfiles, maxchunks=maxchunks, maxevents=maxevents),
        params=dict(params or {}),
        run_dir=Path(run_dir).expanduser() if run_dir is not None else None,
        name=name,
        fresh=fresh,
        reproducible=reproducible,
        inputs=absolute_paths(inputs),
        reuse_from=absolute_paths(reuse_from),
        workers=settings.workers,
        progress=progress,
        settings=settings,
    )
    return run_with_options(processor, fileset, client=client, options=options)


def run_with_options(
    processor: Any,
    fileset: Any,
    *,
    client: Client | Literal["inline"] | None,
    options: RunOptions,
) -> RunResult:
    """`run`, with its options gathered."""
    check_client(client)
    begun = time.monotonic()
    places = places_to_look(options.reuse_from, fresh=options.fresh)
    with ExitStack() as stack:
        # While there may be something to take over, nobody knows whether there will be work.
        may_take = has_any(places)
        if not may_take:
            stack.enter_context(prepared_workers(client, options.workers))
        prospect = look_ahead_of_run(processor, options, places)
        if may_take and not prospect.alike:
            stack.enter_context(prepared_workers(client, options.workers))
        packages = prospect.identity.packages
        differences = find_differences(client, options.settings, packages)
        options = replace(options, differences=differences, packages=packages)
        job, prospect = lay_out_run(prospect, fileset, options)
        stages_s = {"plan": time.monotonic() - begun}
        with resumable(job.directory.run_file):
            if take_over(job, prospect, fresh=options.fresh):
                client = INLINE  # nothing to do is no reason to start workers
            stages_s["reuse"] = time.monotonic() - begun - stages_s["plan"]
            return drive(job, client=client, options=options, begun=begun, stages_s=stages_s)


def look_ahead_of_run(processor: Any, options: RunOptions, places: Sequence[Path]) -> Prospect:
    """Load the processor, and find earlier runs that computed the same."""
    from beampipe.reading.schemas import check_schema

    return look_ahead(
        load_processor(processor, options.params),
        schema=check_schema(options.schema),
        inputs=options.inputs,
        places=places,
    )


def lay_out_run(prospect: Prospect, fileset: Any, options: RunOptions) -> tuple[Job, Prospect]:
    """Plan the fileset, and make the run directory."""
    from beampipe.reading.schemas import schema_name

    loaded, schema = prospect.processor, prospect.schema
    plan = plan_run(fileset, options)
    prospect = prospect.knowing(plan)
    context = make_context(
        loaded, schema, plan, modules=prospect.identity.modules, inputs=options.inputs
    )
    described = options_to_json(options)
    name = options.name or loaded.name
    # Absolute, since user code may go to another folder while the run is under way.
    path = (options.run_dir or new_run_directory(name)).absolute()
    with resumable(RunDirectory(path).run_file), _no_empty_directory(options, path):
        job = lay_out(
            path,
            plan,
            loaded,
            context=context,
            name=name,
            provenance={
                **collect_provenance(loaded, plan, schema=schema_name(schema), options=described),
                "identity": prospect.identity.to_json(),
            },
            options=described,
        )
    return job, prospect


@contextlib.contextmanager
def _no_empty_directory(options: RunOptions, path: Path) -> Iterator[None]:
    """Take a directory that was made for the run away again, if nothing could be put there."""
    try:
        yield
    except BaseException:
        if options.run_dir is None:
            with contextlib.suppress(OSError):  # not empty
                path.rmdir()
        raise


def plan_run(fileset: Any, options: RunOptions) -> Plan:
    """Plan a fileset; with `on_error="stop"` a file that cannot be used ends it here.

    Raises
    ------
    DatasetError
        The first file's error, with the number of the others.
    RunBudgetExceededError
        ``run-budget-exceeded``: with `on_error="skip"`, more of a dataset cannot be used than
        `max_failed` allows.
    """
    settings = options.settings
    cache = MetadataCache(Path(settings.cache_dir).expanduser() / "metadata")
    with show_counting(enabled=options.progress) as on_progress:
        plan = make_plan(
            read_fileset(fileset, treename=options.treename),
            chunksize=settings.chunksize,
            limits=options.limits,
            cache=cache,
            on_progress=on_progress,
        )
    bad = [file for dataset in plan.datasets for file in dataset.uncounted]
    if bad and settings.on_error == "stop":
        error = bad[0].error
        if len(bad) > 1:
            error.why += f"; {_count_others(len(bad) - 1)}: `beampipe plan` lists them"
        if plan.n_chunks:  # otherwise nothing would be left
            error.fix = join_fixes(
                error.fix, 'leave such files out with on_error="skip" (--on-error skip)'
            )
        raise error
    check_files(plan, _driver_options(options))
    return plan


def _driver_options(options: RunOptions, dashboard: str = "") -> DriverOptions:
    settings = options.settings
    return DriverOptions(
        on_error=settings.on_error,
        max_failed=settings.max_failed,
        checkpoint_s=settings.checkpoint_s,
        dashboard=dashboard,
        reproducible=options.reproducible,
    )


def _count_others(number: int) -> str:
    return "one more file cannot be used" if number == 1 else f"{number} more files cannot be used"


def drive(
    job: Job,
    *,
    client: Client | Literal["inline"] | None,
    options: RunOptions,
    begun: float,
    stages_s: dict[str, float],
) -> RunResult:
    """Find workers, then do what is missing of a run."""
    with ExitStack() as stack:
        asking = find_asking(job.plan)
        remarks = [*options.differences, *_credential_remarks(asking, options)]
        notify = stack.enter_context(show_progress(enabled=options.progress))
        notify = stack.enter_context(told_of_end(notify, asking, enabled=options.progress))
        starting = time.monotonic()
        stack.enter_context(travelling(client, asking, say=remarks.append))
        inputs = _inputs_for(client, job)
        add_to_history(job.directory.path, [{"what": REMARK, "text": text} for text in remarks])
        pool, dashboard = stack.enter_context(
            open_pool(
                client,
                replace(
                    job.context,
                    error_rules=options.settings.error_rules,
                    columns=_column_room(options.settings),
                    versions=_versions_to_ask_for(client, options),
                    inputs=inputs,
                ),
                workers=options.workers,
                memory_limit=options.settings.memory_limit,
                desk=make_desk(options.settings),
            )
        )
        stages_s["start"] = time.monotonic() - starting
        record = execute(
            job,
            pool,
            options=replace(_driver_options(options, dashboard), unset=find_unset(client)),
            notify=notify,
            begun=begun,
            stages_s=stages_s,
        )
    return RunResult(record)


def _credential_remarks(asking: list[str], options: RunOptions) -> list[str]:
    """What is bad of proxy and token; said at once, and kept."""
    bad = warn_of_credentials(asking)
    if options.progress:
        for text in bad:
            tell(text)
    return bad


def _versions_to_ask_for(
    client: Client | Literal["inline"] | None, options: RunOptions
) -> Mapping[str, str | None] | None:
    """What workers that come later are held against; our own are this very environment."""
    if _is_here(client) or gate_level(client, options.settings) != "stop":
        return None
    return versions_here(options.packages)


def _is_here(client: Client | Literal["inline"] | None) -> bool:
    """Whether workers are processes of this machine, and see what this one sees."""
    return client is None or isinstance(client, str)


def _inputs_for(client: Client | Literal["inline"] | None, job: Job) -> tuple[InputFile, ...]:
    """Declared inputs as workers get them."""
    if client is None or isinstance(client, str):
        return job.context.inputs
    inputs = pack_inputs(_declared(job))
    check_large_inputs(client, inputs)
    return inputs


def _declared(job: Job) -> list[Path]:
    """The inputs that were declared when the run began; `resume` has looked after changes."""
    return [path for path in map(Path, job.options.get("inputs", ())) if path.exists()]


def _column_room(settings: Settings) -> ColumnRoom:
    directory = None if settings.column_dir is None else str(settings.column_dir.absolute())
    return ColumnRoom(settings.column_cache, directory)


def options_to_json(options: RunOptions) -> dict[str, Any]:
    """What `resume` needs to go on alike."""
    return {
        "on_error": options.settings.on_error,
        "max_failed": options.settings.max_failed,
        "checkpoint_s": options.settings.checkpoint_s,
        "chunksize": options.settings.chunksize,
        "treename": options.treename,
        "inputs": list(map(str, options.inputs)),
        "reproducible": options.reproducible,
        **{name: number for name, number in asdict(options.limits).items() if number is not None},
    }
