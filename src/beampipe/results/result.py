"""What a run gives back: its values, and the truth about them."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beampipe.execution.accounting import Accounting, Failure
from beampipe.execution.record import RunRecord
from beampipe.results.timing import Timing, explain_timing
from beampipe.results.verdict import Verdict, judge_run

if TYPE_CHECKING:
    from beampipe.results.exports import ExportFormat
    from beampipe.results.normalisation import ScaledResult
    from beampipe.results.plots import ImageFormat


@dataclass(frozen=True, slots=True, repr=False)
class RunResult:
    """The result of a run.

    Attributes
    ----------
    record : RunRecord
        What the run directory holds.
    """

    record: RunRecord

    @property
    def output(self) -> Any:
        """The output summed over datasets, after the processor's `postprocess`."""
        return self.record.output

    @property
    def by_dataset(self) -> Mapping[str, Any]:
        """The output of each dataset, before `postprocess`."""
        return self.record.by_dataset

    @property
    def accounting(self) -> Accounting:
        """Per dataset, events planned = processed + failed + not reached."""
        return self.record.accounting

    @property
    def failures(self) -> tuple[Failure, ...]:
        """Every chunk and file that could not be done, with its reason."""
        return self.record.failures

    @property
    def metrics(self) -> Mapping[str, Any]:
        """Wall time, bytes read, events per second, seconds per stage."""
        return self.record.metrics

    @property
    def timing(self) -> Timing:
        """Where the time went, stage by stage, and in words what would make it quicker."""
        return explain_timing(self.record.metrics)

    @property
    def provenance(self) -> Mapping[str, Any]:
        """Versions, source identity, plan hash, parameters."""
        return self.record.provenance

    @property
    def metadata(self) -> Mapping[str, Mapping[str, Any]]:
        """The metadata of each dataset, as the fileset has it."""
        return self.record.metadata

    @property
    def incidents(self) -> tuple[Mapping[str, Any], ...]:
        """What happened on the way without ending the run: retries, deaths of workers, ..."""
        return self.record.incidents

    @property
    def notes(self) -> tuple[str, ...]:
        """What was taken from earlier runs, or why nothing was; undeclared files."""
        return self.record.notes

    @property
    def accepted_changes(self) -> tuple[str, ...]:
        """What had changed since the run began and was accepted when it was gone on with."""
        return self.record.accepted_changes

    @property
    def run_dir(self) -> Path:
        """The run directory, from which `beampipe.load` makes this again."""
        return self.record.run_dir

    @property
    def name(self) -> str:
        """The run's name."""
        return self.record.name

    @property
    def run_id(self) -> str:
        """The run's identity; every segment carries it."""
        return self.record.run_id

    @property
    def created(self) -> str:
        """When the run began, in ISO 8601."""
        return self.record.created

    @property
    def status(self) -> str:
        """The recorded status: ``"complete"``, ``"incomplete"``, ``"failed"``, ..."""
        return self.record.status

    @property
    def verdict(self) -> Verdict:
        """Status and accounting judged together, in a word and a sentence."""
        return judge_run(self.record.status, self.record.accounting)

    @property
    def is_complete(self) -> bool:
        """Whether every event of every file was processed, and the accounting balances."""
        return self.verdict.is_complete

    def sum_of_weights(
        self, dataset: str, *, key: str = "sumw", allow_incomplete: bool = False
    ) -> float:
        """Take the sum of weights of a dataset out of its output; refuse one with holes.

        Parameters
        ----------
        dataset : str
            Its name.
        key : str
            Where the number is in ``by_dataset[dataset]``: ``"sumw"``, ``"weights/sum"``.
        allow_incomplete : bool
            Take the sum over the processed events if some are missing; warns.

        Raises
        ------
        IncompleteDatasetError
            ``result-incomplete-dataset``: events are missing.
        NormalisationError
            ``result-normalisation``: there is no such dataset or number, or it is zero.
        """
        from beampipe.results.normalisation import sum_of_weights

        return sum_of_weights(self, dataset, key=key, allow_incomplete=allow_incomplete)

    def luminosity(self, dataset: str, total: float, *, allow_incomplete: bool = False) -> float:
        """Give the luminosity of what was processed of a dataset of real data.

        Parameters
        ----------
        dataset : str
            Its name.
        total : float
            Luminosity of the whole dataset, in any unit.
        allow_incomplete : bool
            Where events are missing, give the same share of `total` as of the events; warns.

        Raises
        ------
        IncompleteDatasetError
            ``result-incomplete-dataset``: events are missing.
        NormalisationError
            ``result-normalisation``: there is no such dataset, or nothing of it was processed.
        """
        from beampipe.results.normalisation import processed_luminosity

        return processed_luminosity(self, dataset, total, allow_incomplete=allow_incomplete)

    def scale_to_luminosity(
        self,
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
        luminosity : float
            In the inverse unit of the cross sections: 1/pb for pb.
        xsec : str or mapping of str to float
            The key of the cross section in each dataset's metadata, or the values by dataset.
        sumw : str or mapping of str to float
            Where the sum of weights is in each dataset's output, or those of the whole datasets.
        data : collection of str
            Datasets of real data: not scaled, but looked at for missing events.
        allow_incomplete : bool
            Let what was processed stand for a dataset that lacks events; warns, and the result
            says so.

        Returns
        -------
        ScaledResult
            Copies of histograms and cutflows: `output`, `by_dataset`, `factors`, `notes`.

        Raises
        ------
        IncompleteDatasetError
            ``result-incomplete-dataset``: a dataset lacks events.
        NormalisationError
            ``result-normalisation``: a cross section or a sum of weights is missing.
        """
        from beampipe.results.normalisation import scale_to_luminosity

        return scale_to_luminosity(
            self,
            luminosity,
            xsec=xsec,
            sumw=sumw,
            data=data,
            allow_incomplete=allow_incomplete,
        )

    def report(self, path: str | Path | None = None) -> Path:
        """Write the report, one self-contained HTML page.

        Parameters
        ----------
        path : str or Path, optional
            Where; ``report.html`` in the run directory if not given.

        Returns
        -------
        Path
            The page.

        Raises
        ------
        ResultError
            ``result``: the page cannot be written.
        """
        from beampipe.results.report import write_report  # jinja2, matplotlib: only when asked

        return write_report(self.record, Path(path or self.run_dir / "report.html"))

    def plot(
        self,
        directory: str | Path | None = None,
        *,
        only: str | None = None,
        image_format: ImageFormat = "png",
    ) -> list[Path]:
        """Draw the histograms into files.

        Parameters
        ----------
        directory : str or Path, optional
            Where; ``plots`` in the run directory if not given.
        only : str, optional
            One histogram's path in the output (``"muons/mass"``), or a pattern (``"muons/*"``).
        image_format : {"png", "pdf", "svg"}
            Kind of file.

        Returns
        -------
        list of Path
            One file per plot; a histogram of three axes or more gives several.

        Raises
        ------
        ResultError
            ``result``: no histogram has this name (those there are, are named), or the files
            cannot be written.
        """
        from beampipe.results.plots import plan_plots, save_plots, select_views  # matplotlib

        views = plan_plots(self.output, self.by_dataset)
        if only is not None:
            views = select_views(views, only)
        return save_plots(
            views, Path(directory or self.run_dir / "plots"), image_format=image_format
        )

    def export(
        self,
        path: str | Path,
        *,
        format: ExportFormat | None = None,  # noqa: A002  the word that people type
        dataset: str | None = None,
    ) -> Path:
        """Write the output into a file of another format.

        Parameters
        ----------
        path : str or Path
            The file, or the directory for parquet.
        format : {"root", "json", "coffea", "parquet"}, optional
            The path's ending if not given.
        dataset : str, optional
            Only the output of this dataset, before `postprocess`.

        Returns
        -------
        Path
            What was written. Except in coffea files, it says what the run lacks.

        Raises
        ------
        ExportError
            ``result-export``: nothing in the output can be written in this format. What cannot
            be written while the rest can, is warned of.
        """
        from beampipe.results.exports import export_run  # uproot, awkward: only when asked

        exported = export_run(self, Path(path), export_format=format, dataset=dataset)
        verdict = self.verdict
        if verdict.lacks_events:
            warnings.warn(f"{verdict.headline}: {verdict.sentence}", UserWarning, stacklevel=2)
        if exported.skipped:
            reasons = "; ".join(f"{name} ({why})" for name, why in exported.skipped.items())
            warnings.warn(f"not exported: {reasons}", UserWarning, stacklevel=2)
        return exported.path

    def __repr__(self) -> str:
        verdict = self.verdict
        counts = f"{self.accounting.events_processed:,} of {self.accounting.events_planned:,}"
        return f"<RunResult {self.name!r}: {verdict.headline}, {counts} events>"

    def __str__(self) -> str:
        from beampipe.results.summary import format_summary  # rich: only when asked

        return format_summary(self.record)

    def _repr_html_(self) -> str:
        from beampipe.results.card import render_card

        return render_card(self.record)
