"""What a run recorded, read back from its directory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from beampipe.execution.accounting import Accounting, Failure


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run as its directory tells it.

    Attributes
    ----------
    status : str
        ``"complete"``, ``"incomplete"`` (a hole, gone on), ``"failed"`` (stopped on errors),
        ``"interrupted"``, or ``"running"``.
    output : Any
        Summed over datasets, as coffea sums, after the processor's `postprocess`.
    by_dataset : dict of str to Any
        Per dataset, before `postprocess`.
    metrics : dict
        ``wall_s``, ``events_per_s``, ``bytes_read``, ``stages_s`` (seconds per stage, summed over
        workers: ``open``, ``read``, ``process``, ``add``; and of the driver: ``plan``,
        ``start``, ``merge``, ``pull``, ``commit``), ``n_workers``, ``n_bundles``, ...
    provenance : dict
        ``versions``, ``processor``, ``source_sha256``, ``plan_sha256``, ``params``, ``schema``, ...
    metadata : dict of str to dict
        Of each dataset, as the fileset has it.
    incidents : tuple of mapping
        What happened on the way and did not end the run, in the order of time: ``time`` (ISO
        8601), ``what`` (``"retry"``, ``"worker-died"``, ``"breaker"``, ``"twin"``, ``"split"``,
        ...), ``text``, and ``count`` or more.
    accepted_changes : tuple of str
        What had changed since the run began and was accepted when it was gone on with.
    notes : tuple of str
        What was taken from which earlier runs, or why nothing was; files that the processor
        opened and that were not declared.
    """

    run_dir: Path
    run_id: str
    name: str
    created: str
    status: str
    output: Any
    by_dataset: Mapping[str, Any]
    accounting: Accounting
    failures: tuple[Failure, ...]
    metrics: Mapping[str, Any]
    provenance: Mapping[str, Any]
    metadata: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    incidents: tuple[Mapping[str, Any], ...] = ()
    accepted_changes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
