"""What is not as it was when a run began: code, versions, inputs, files."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib
import json
import secrets
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cloudpickle

from beampipe.datasets.counting import count_files
from beampipe.datasets.metadata_cache import MetadataCache
from beampipe.datasets.model import FileEntry, FilePlan, FileSpec
from beampipe.datasets.urls import show_url
from beampipe.environments.own_code import users_code_importable
from beampipe.errors import ArgumentError, BeampipeError, FileMismatchError, ProcessorLoadError
from beampipe.execution.engine import Job, make_context
from beampipe.execution.history import ACCEPTED, REMARK, add_to_history, read_history
from beampipe.execution.identity import Identity, compare, identify
from beampipe.execution.identity.packages import refresh_versions
from beampipe.execution.ledger import Ledger
from beampipe.execution.processors import Processor, find_named, load_processor
from beampipe.execution.storage import write_atomic

_PRIVATE = 0o600


@dataclass(frozen=True, slots=True)
class Changes:
    """What was found.

    Attributes
    ----------
    texts : tuple of str
        What changed, in words; empty for nothing.
    remarks : tuple of str
        What could not be compared.
    processor : Processor or None
        The processor as it is now, if it was found and differs.
    schema : Any
        The schema that goes with it.
    identity : Identity or None
        What the run would compute now.
    """

    texts: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    processor: Processor | None = None
    schema: Any = None
    identity: Identity | None = None


@dataclass(slots=True)
class _Found:
    texts: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def find_changes(job: Job, missing: Iterable[FilePlan], *, cache: MetadataCache) -> Changes:
    """Hold a run against what is there now.

    Parameters
    ----------
    job : Job
        The run.
    missing : iterable of FilePlan
        Files of which something is still to be done; only these are looked at.
    """
    found = _Found()
    before = read_identity(job)
    processor, identity, schema = None, None, None
    if before is None:
        found.remarks.append(
            "What the run computes was not recorded, so it could not be compared with what is now."
        )
    else:
        processor, identity, schema = _compare_code(job, before, found)
    found.texts += _compare_files(missing, cache)
    return Changes(tuple(found.texts), tuple(found.remarks), processor, schema, identity)


def read_identity(job: Job) -> Identity | None:
    """What a run computes: as it began, or as was accepted last."""
    for entry in reversed(read_history(job.directory.path)):
        if entry.get("what") == ACCEPTED and "identity" in entry:
            return Identity.from_json(entry["identity"])
    run = json.loads(job.directory.run_file.read_bytes())
    return Identity.from_json(run.get("provenance", {}).get("identity"))


def _compare_code(
    job: Job, before: Identity, found: _Found
) -> tuple[Processor | None, Identity | None, Any]:
    _, schema = cloudpickle.loads(job.context.payload)
    try:
        processor = _find_processor(job.processor, before.module)
        schema = _find_schema(schema)
    except BeampipeError as error:
        found.remarks.append(
            f"The processor's code could not be compared ({error.why or error.message}): gone on "
            "with it as it was kept when the run began."
        )
        processor = None
    inputs = list(map(Path, job.options.get("inputs", [])))
    there = [path for path in inputs if path.exists()]
    found.texts += [f"input {path.name} is gone" for path in inputs if path not in there]
    if processor is None:
        inputs_now = identify(Processor(None, ""), schema=None, metadata={}, inputs=there)
        now = refresh_versions(before, inputs_now)
    else:
        now = identify(processor, schema=schema, metadata={}, inputs=there)
    now = dataclasses.replace(now, datasets=before.datasets, module=before.module)
    gone = {text.removesuffix(" is gone") for text in found.texts}
    differences = [one for one in compare(before, now) if one.name not in gone]
    found.texts += map(str, differences)
    unknown = now.unhashable.keys() | before.unhashable.keys()
    if unknown:
        found.remarks.append(f"Could not be compared: {', '.join(sorted(unknown))}.")
    return (processor if differences else None), now, schema


# -- the code as it is now ----------------------------------------------------------------


def _find_processor(kept: Processor, module_name: str) -> Processor:
    """Load the processor anew from where it came from.

    Raises
    ------
    BeampipeError
        Says why it cannot be found.
    """
    target = kept.target
    if kept.params and type(target) is functools.partial:
        target = target.func
    named = target if hasattr(target, "__qualname__") else type(target)
    name = str(getattr(named, "__qualname__", ""))
    if "<" in name or not name:
        raise _not_found(kept, f"{name or 'it'} has no name that leads to it")
    current = _find_current(kept, module_name, name)
    if current is None:
        raise _not_found(kept, f"there is no {name} in {kept.origin or module_name} any more")
    if named is target or kept.is_made_here:
        return dataclasses.replace(load_processor(current, kept.params), name=kept.name)
    return dataclasses.replace(kept, target=_with_class(target, current))


def _find_current(kept: Processor, module_name: str, name: str) -> Any:
    if module_name == "__main__":
        current: Any = sys.modules["__main__"]
        for part in name.split("."):
            current = getattr(current, part, None)
        if current is None:
            raise _not_found(kept, "it was defined in a notebook or a script that is not running")
        return current
    if not kept.origin or not Path(kept.origin).is_file():
        raise _not_found(kept, f"{kept.origin or 'its file'} is not there")
    if "." in module_name:
        with users_code_importable(kept.origin):
            return _get(importlib.import_module(module_name), name)
    return find_named(f"{kept.origin}:{name}")


def _get(module: Any, name: str) -> Any:
    for part in name.split("."):
        module = getattr(module, part, None)
    return module


def _with_class(kept: Any, current: Any) -> Any:
    """An instance that the user made, in the class as it is now."""
    try:
        new = current.__new__(current)
        new.__dict__.update(vars(kept))
    except (TypeError, AttributeError) as error:
        raise ProcessorLoadError(
            "The processor cannot be taken over into its class as it is now.", why=str(error)
        ) from error
    return new


def _find_schema(kept: Any) -> Any:
    if not isinstance(kept, type) or kept.__module__.startswith("coffea."):
        return kept
    return _get(sys.modules.get(kept.__module__), kept.__qualname__) or kept


def _not_found(kept: Processor, why: str) -> ProcessorLoadError:
    return ProcessorLoadError(f"The code of {kept.name} cannot be found.", why=why)


# -- the files as they are now ------------------------------------------------------------


def _compare_files(missing: Iterable[FilePlan], cache: MetadataCache) -> list[str]:
    """Name the files that are not those that were planned; one that cannot be read is no change."""
    plans = list(missing)
    asked = [
        (
            plan.file.dataset,
            FileSpec(
                plan.file.urls, plan.file.treename, entries=plan.file.entries, uuid=plan.file.uuid
            ),
        )
        for plan in plans
    ]
    texts = []
    for plan, counted in zip(plans, count_files(asked, cache=cache), strict=True):
        if isinstance(counted, FileEntry) or not isinstance(counted.error, FileMismatchError):
            continue
        # What was promised is in the plan here, and not in a fileset.
        why = counted.error.why.replace("the fileset says", "planned was", 1)
        texts.append(f"file {show_url(plan.file.urls[0])}: {why}")
    return texts


# -- accepting ----------------------------------------------------------------------------


def record_remarks(job: Job, remarks: Iterable[str]) -> None:
    """Write down what could not be compared."""
    add_to_history(job.directory.path, [{"what": REMARK, "text": text} for text in remarks])


def accept(job: Job, changes: Changes) -> Job:
    """Write down that changes were accepted, and take the code as it is now.

    All of it is on the disk before anything can be committed under it.

    Raises
    ------
    RunHeldError
        ``run-held``: another driver is at work on the run.
    ProcessorPickleError
        ``processor-pickle``
    RunStorageError
        ``run-storage``
    """
    context = job.context
    fact: dict[str, Any] = {}
    if changes.processor is not None:
        context = make_context(
            changes.processor,
            changes.schema,
            job.plan,
            modules=changes.identity.modules if changes.identity is not None else (),
            inputs=map(Path, job.options.get("inputs", ())),
        )
        packed = cloudpickle.dumps(context)
    ledger = Ledger.take(job.directory, run_id=job.run_id, driver=secrets.token_hex(8))
    try:
        if changes.processor is not None:
            name = f"processor-{context.digest[:12]}.pkl"
            write_atomic(job.directory.path / name, packed, mode=_PRIVATE)
            fact = {"processor": name, "sha256": hashlib.sha256(packed).hexdigest()}
        entries: list[Mapping[str, Any]] = [
            {"what": ACCEPTED, "text": text} for text in changes.texts
        ]
        if changes.identity is not None:
            fact["identity"] = changes.identity.to_json()
        entries[-1] = {**entries[-1], **fact}
        add_to_history(job.directory.path, entries)
    finally:
        ledger.release()
    processor = changes.processor or job.processor
    return dataclasses.replace(job, context=context, processor=processor)


def check_chunksize(job: Job, chunksize: int | None) -> None:
    """Refuse another chunk size.

    Raises
    ------
    ArgumentError
        ``run-argument``
    """
    if chunksize is None or chunksize == job.plan.chunksize:
        return
    raise ArgumentError(
        f"A run of chunks of {job.plan.chunksize:,} events cannot be gone on with in chunks of "
        f"{chunksize:,}.",
        why="a chunk is part k of n of its file, and what is done was cut that way: with other "
        "borders, events would be counted twice or not at all",
        fix="leave `chunksize` (--chunksize) out, or run anew with it",
    )
