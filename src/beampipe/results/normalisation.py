"""Sums of weights, luminosities and scales, which refuse a dataset that lacks events.

A simulated event weighs ``cross section * luminosity / sum of weights``. With a hole in the dataset
that number is wrong in silence: where the sum of weights is that of the whole dataset, the
spectrum comes out too low by what is missing. So a dataset with a hole is an error here, unless
the caller says that what was processed may stand for the whole; then the result says so too.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from beampipe.errors import IncompleteDatasetError, NormalisationError, join_fixes
from beampipe.execution.record_reader import add_datasets
from beampipe.results.contents import follow_path, is_number, unwrap, walk_output
from beampipe.results.quantities import count_noun, format_missing, format_share
from beampipe.results.scaling import scale_output

if TYPE_CHECKING:
    from beampipe.execution.accounting import Accounting, DatasetAccounting

_FOR_DATA = "it was not scaled, and lacks them"
_FOR_OWN_SUM = "the sum of weights is that of the processed events, which stand for the others"
_FOR_WHOLE_SUM = "the sum of weights was reduced to the processed share of the events"
_TRIALS = ("maxfiles", "maxchunks", "maxevents")


class RunToNormalise(Protocol):
    """What a `RunResult` and a `RunRecord` have in common."""

    @property
    def by_dataset(self) -> Mapping[str, Any]:
        """The output of each dataset."""

    @property
    def accounting(self) -> Accounting:
        """How its events add up."""

    @property
    def metadata(self) -> Mapping[str, Mapping[str, Any]]:
        """The metadata of each dataset."""

    @property
    def provenance(self) -> Mapping[str, Any]:
        """How it was made."""


@dataclass(frozen=True, slots=True)
class ScaledResult:
    """Histograms and cutflows scaled to a luminosity.

    Attributes
    ----------
    luminosity : float
        As it was given.
    factors : dict of str to float
        What each dataset was multiplied with; 1 for data.
    by_dataset : dict of str to dict
        Scaled copies, nested as in the output; only histograms and cutflows.
    left_out : tuple of str
        Names of outputs that no factor makes sense for: arrays, sets, means, single numbers.
    notes : dict of str to str
        For each dataset that lacks events, what was assumed. Empty when nothing is missing.
    """

    luminosity: float
    factors: Mapping[str, float]
    by_dataset: Mapping[str, Any]
    left_out: tuple[str, ...] = ()
    notes: Mapping[str, str] = field(default_factory=dict)

    @property
    def output(self) -> Any:
        """The sum over datasets.

        Raises
        ------
        AccumulationError
            ``output-not-addable``
        """
        return add_datasets(self.by_dataset)

    @property
    def is_complete(self) -> bool:
        """Whether no dataset lacked events."""
        return not self.notes

    def __str__(self) -> str:
        lines = [f"scaled to a luminosity of {self.luminosity:,g}"]
        lines += [f"  {name}: times {factor:.6g}" for name, factor in self.factors.items()]
        lines += [f"  INCOMPLETE: {note}" for note in self.notes.values()]
        return "\n".join(lines)


def sum_of_weights(
    run: RunToNormalise, dataset: str, *, key: str = "sumw", allow_incomplete: bool = False
) -> float:
    """Take the sum of weights of a dataset out of the processor's output.

    Parameters
    ----------
    run : RunResult
        The run.
    dataset : str
        Its name.
    key : str
        Where the number is in the dataset's output: ``"sumw"``, ``"weights/sum"``.
    allow_incomplete : bool
        Take the sum over the processed events if some are missing; warns.

    Returns
    -------
    float
        The sum, not zero.

    Raises
    ------
    IncompleteDatasetError
        ``result-incomplete-dataset``: events are missing.
    NormalisationError
        ``result-normalisation``: there is no such dataset or number, or it is zero or infinite.
    """
    note = _check_whole(run, dataset, allow_incomplete=allow_incomplete)
    if note:
        _warn([f"{note} the sum of weights is that of the processed events"])
    return _find_sum(run, dataset, key)


def processed_luminosity(
    run: RunToNormalise, dataset: str, total: float, *, allow_incomplete: bool = False
) -> float:
    """Give the luminosity of what was processed of a dataset of real data.

    Parameters
    ----------
    run : RunResult
        The run.
    dataset : str
        Its name.
    total : float
        Luminosity of the whole dataset, in any unit.
    allow_incomplete : bool
        Where events are missing, give the same share of `total` as of the events; warns. The
        luminosity of lost events is not known, so this is an estimate: exact is what a luminosity
        tool says of the luminosity sections that the processor has collected.

    Returns
    -------
    float
        In the unit of `total`.

    Raises
    ------
    IncompleteDatasetError
        ``result-incomplete-dataset``: events are missing.
    NormalisationError
        ``result-normalisation``: there is no such dataset, or nothing of it was processed.
    """
    note = _check_whole(run, dataset, allow_incomplete=allow_incomplete)
    if not note:
        return total
    share = _processed_share(run, dataset)
    _warn([f"{note} the luminosity is taken to be {format_share(share, 1.0)} of {total:g}"])
    return total * share


def scale_to_luminosity(
    run: RunToNormalise,
    luminosity: float,
    *,
    xsec: str | Mapping[str, float] = "xsec",
    sumw: str | Mapping[str, float] = "sumw",
    data: Collection[str] = (),
    allow_incomplete: bool = False,
) -> ScaledResult:
    """Scale every dataset by cross section times luminosity over sum of weights.

    Parameters
    ----------
    run : RunResult
        The run.
    luminosity : float
        In the inverse unit of the cross sections: 1/pb for pb.
    xsec : str or mapping of str to float
        The key of the cross section in each dataset's metadata, or the cross sections by dataset.
    sumw : str or mapping of str to float
        Where the sum of weights is in each dataset's output, or the sums of the whole datasets.
    data : collection of str
        Datasets of real data: not scaled, but looked at for missing events.
    allow_incomplete : bool
        Let what was processed stand for a dataset that lacks events: its sum of weights in the
        output is that of the processed events already, one of the whole dataset is reduced to their
        share. Warns, and the result has it in `notes`.

    Returns
    -------
    ScaledResult
        Histograms, with variances where they are known, and cutflows.

    Raises
    ------
    IncompleteDatasetError
        ``result-incomplete-dataset``: a dataset lacks events.
    NormalisationError
        ``result-normalisation``: a cross section or a sum of weights is missing or makes no sense.
    """
    names = [dataset.name for dataset in run.accounting.datasets]
    data = {data} if isinstance(data, str) else set(data)
    for name in data:
        _find_dataset(run, name)
    own_sum = isinstance(sumw, str)
    factors: dict[str, float] = {}
    notes: dict[str, str] = {}
    for name in names:
        note = _check_whole(run, name, allow_incomplete=allow_incomplete)
        is_data = name in data
        if note:
            assumed = _FOR_DATA if is_data else _FOR_OWN_SUM if own_sum else _FOR_WHOLE_SUM
            notes[name] = f"{note} {assumed}"
        factors[name] = 1.0 if is_data else _find_factor(run, name, luminosity, xsec, sumw)
    _warn(list(notes.values()))
    scaled = {name: scale_output(run.by_dataset.get(name), factors[name]) for name in names}
    left_out = dict.fromkeys(leaf for _, names in scaled.values() for leaf in names)
    by_dataset = {name: output for name, (output, _) in scaled.items()}
    return ScaledResult(luminosity, factors, by_dataset, tuple(left_out), notes)


def _warn(notes: list[str]) -> None:
    if notes:
        warnings.warn("\n".join(notes), UserWarning, stacklevel=4)


# -- what is there ------------------------------------------------------------


def _find_dataset(run: RunToNormalise, name: str) -> DatasetAccounting:
    try:
        return run.accounting[name]
    except KeyError as error:
        known = ", ".join(repr(dataset.name) for dataset in run.accounting.datasets)
        raise NormalisationError(
            f"The run has no dataset {name!r}.", fix=f"there are {known}", dataset=name
        ) from error


def _trial_limits(run: RunToNormalise) -> dict[str, int]:
    options = run.provenance.get("options") or {}
    return {name: options[name] for name in _TRIALS if options.get(name)}


def _check_whole(run: RunToNormalise, name: str, *, allow_incomplete: bool) -> str:
    """Say what a dataset lacks; empty for a whole one.

    Raises
    ------
    IncompleteDatasetError
    """
    row = _find_dataset(run, name)
    note = _describe_hole(row, _trial_limits(run))
    if not note or allow_incomplete:
        return note
    raise IncompleteDatasetError(
        f"Dataset {name!r} lacks events, so it cannot be normalised.",
        why=note.rstrip(";"),
        fix=join_fixes(
            _find_remedy(row, _trial_limits(run)),
            "allow_incomplete=True lets what was processed stand for the whole",
        ),
        dataset=name,
        events_planned=row.events_planned,
        events_processed=row.events_processed,
        files_uncounted=row.files_uncounted,
        missing_share=row.missing_share,
    )


def _find_remedy(row: DatasetAccounting, limits: Mapping[str, int]) -> str:
    if limits:
        return f"run over all of it, without {', '.join(limits)}"
    if row.files_uncounted:  # they are not in the plan, so `resume` knows nothing of them
        return "mend the files that could not be counted, or take them out, and run anew"
    return "`beampipe resume RUN` does what is missing"


def _describe_hole(row: DatasetAccounting, limits: Mapping[str, int]) -> str:
    parts = []
    if not row.is_complete:
        left = row.events_planned - row.events_processed
        events = f"{left:,} of {row.events_planned:,} events of {row.name} were not processed"
        parts += [events] if left else []
        if row.files_uncounted:
            files = count_noun(row.files_uncounted, "file")
            parts.append(f"{files} of {row.name} could not be counted")
        parts.append(f"{format_missing(row)} of it is missing")
    if limits:
        given = ", ".join(f"{name}={number}" for name, number in limits.items())
        parts.append(f"the run was a trial on a part of {row.name} ({given})")
    return f"{', '.join(parts)};" if parts else ""


def _processed_share(run: RunToNormalise, name: str) -> float:
    """Which part of a dataset was processed.

    Raises
    ------
    NormalisationError
        It is not known, or nothing was.
    """
    limits = _trial_limits(run)
    share = 1.0 - _find_dataset(run, name).missing_share
    if limits or share <= 0:
        raise NormalisationError(
            f"How much of dataset {name!r} was processed cannot be told.",
            why=f"the run was limited to a part of it by {', '.join(limits)}"
            if limits
            else "nothing of it was processed",
            fix="run over all of it, or take the sum of weights from the processor's output",
            dataset=name,
        )
    return share


def _find_factor(
    run: RunToNormalise,
    name: str,
    luminosity: float,
    xsec: str | Mapping[str, float],
    sumw: str | Mapping[str, float],
) -> float:
    cross_section = _find_cross_section(run, name, xsec)
    if isinstance(sumw, str):
        return cross_section * luminosity / _find_sum(run, name, sumw)
    total = _check_number(sumw.get(name), name, f"sumw[{name!r}]")
    row = _find_dataset(run, name)
    is_whole = row.is_complete and not _trial_limits(run)
    return cross_section * luminosity / (total if is_whole else total * _processed_share(run, name))


def _find_cross_section(run: RunToNormalise, name: str, xsec: str | Mapping[str, float]) -> float:
    if isinstance(xsec, str):
        found = run.metadata.get(name, {}).get(xsec)
        return _check_number(found, name, f"{xsec!r} in its metadata")
    return _check_number(xsec.get(name), name, f"xsec[{name!r}]")


def _find_sum(run: RunToNormalise, name: str, key: str) -> float:
    output = run.by_dataset.get(name)
    value = unwrap(follow_path(output, tuple(key.split("/"))))
    if value is None:
        there = ", ".join(leaf.name for leaf in walk_output(output) if is_number(leaf.value))
        raise NormalisationError(
            f"The output of dataset {name!r} has no {key!r}.",
            why=f"the numbers in it are {there}" if there else "there is no number in it",
            fix="let the processor return it, as ak.sum(events.genWeight); or give another key, or "
            "sumw={dataset: number}",
            dataset=name,
        )
    return _check_number(value, name, f"{key!r} in its output")


def _check_number(value: Any, name: str, place: str) -> float:
    if is_number(value) and math.isfinite(value) and value != 0:
        return float(value)
    raise NormalisationError(
        f"Dataset {name!r} has no usable number for {place}.",
        why="it is not there" if value is None else f"it is {value!r}",
        fix="give it in the fileset's metadata or as an argument; name datasets of real data in "
        "data=[...]",
        dataset=name,
    )
