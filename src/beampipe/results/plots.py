"""An output's histograms as figures and files: planned, drawn, saved."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from beampipe.errors import HistogramNotFoundError, ResultStorageError
from beampipe.results.drawing import curves
from beampipe.results.drawing.canvas import house_style
from beampipe.results.drawing.lettering import write_title
from beampipe.results.drawing.lines import draw_line, draw_nothing
from beampipe.results.drawing.palette import theme_svg
from beampipe.results.drawing.surfaces import draw_bars, draw_image
from beampipe.results.drawing.views import View, plan_views
from beampipe.results.histograms import as_hist, find_histograms, match_parts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ImageFormat = Literal["png", "pdf", "svg"]

_SIZE_INCHES = (5.4, 3.7)
_DPI = 160
_DRAWERS = {"line": draw_line, "bars": draw_bars, "image": draw_image, "nothing": draw_nothing}


def plan_plots(output: Any, by_dataset: Mapping[str, Any] | None = None) -> list[View]:
    """List the plots of an output's histograms.

    Parameters
    ----------
    output : Any
        The summed output.
    by_dataset : mapping of str to Any, optional
        The outputs per dataset; where they add up to the sum, lines are stacked by dataset.

    Returns
    -------
    list of View
        In the order of the output.
    """
    return [
        view
        for leaf in find_histograms(output)
        for view in plan_views(
            leaf.name, as_hist(leaf.value), parts=match_parts(leaf, by_dataset or {})
        )
    ]


def save_plots(
    views: Iterable[View], directory: Path, *, image_format: ImageFormat = "png"
) -> list[Path]:
    """Draw every view into a file of its own.

    Parameters
    ----------
    views : iterable of View
        What to draw.
    directory : Path
        Made if it is not there.
    image_format : {"png", "pdf", "svg"}
        Kind of file.

    Returns
    -------
    list of Path
        One per view; names are made safe for file systems and kept apart by numbers.

    Raises
    ------
    ResultStorageError
        ``result-storage``: the files cannot be written.
    """
    paths: list[Path] = []
    taken: set[str] = set()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for view in views:
            path = directory / f"{make_stem(view.name, taken)}.{image_format}"
            with house_style():
                draw_view(view).savefig(path, format=image_format, dpi=_DPI)
            paths.append(path)
    except OSError as error:
        raise ResultStorageError(
            f"The plots cannot be written to {directory}.",
            why=str(error),
            fix="give another directory with --output",
        ) from error
    return paths


def draw_view(view: View, *, title: bool = True) -> Figure:
    """Draw one view on a new figure.

    The figure belongs to no pyplot session: no backend is chosen, no window opens, and
    ``plt.gcf()`` in a notebook stays what it was.

    Parameters
    ----------
    view : View
        What to draw.
    title : bool
        Whether to write the histogram's name and notes above the axes.

    Returns
    -------
    matplotlib.figure.Figure
        With one pair of axes, and a colour bar for an image.
    """
    from matplotlib.figure import Figure  # 0.3 s: not at import

    with house_style():
        figure = Figure(figsize=_SIZE_INCHES, layout="constrained")
        axes = figure.add_subplot()
        _DRAWERS[view.kind](axes, view)
        if title:
            write_title(axes, view.name, describe_view(view))
    return figure


def describe_view(view: View) -> tuple[str, ...]:
    """List what a reader of the plot must know: sums, choices, and what lies outside."""
    flow = curves.describe_flow(view.histogram) if view.kind in {"line", "bars"} else ()
    return (*view.notes, *flow)


def render_svg(view: View, *, title: bool = True) -> str:
    """Draw a view as SVG whose colours follow the reader's light or dark scheme."""
    buffer = io.StringIO()
    figure = draw_view(view, title=title)
    metadata = {"Date": None, "Creator": None, "Type": None, "Format": None}
    with house_style():
        figure.savefig(buffer, format="svg", dpi=_DPI, transparent=True, metadata=metadata)
    return theme_svg(buffer.getvalue())


def render_png(view: View, *, title: bool = True) -> bytes:
    """Draw a view as PNG on white."""
    buffer = io.BytesIO()
    figure = draw_view(view, title=title)
    with house_style():
        figure.savefig(buffer, format="png", dpi=_DPI)
    return buffer.getvalue()


def make_stem(name: str, taken: set[str]) -> str:
    """Make a file name of a histogram's name, with a number where it is taken; adds to `taken`."""
    stem = re.sub(r"[^\w.+=-]+", "_", name.replace("/", ".")).strip("._")[:100] or "plot"
    candidate, number = stem, 2
    while candidate.lower() in taken:  # some file systems do not tell case apart
        candidate, number = f"{stem}-{number}", number + 1
    taken.add(candidate.lower())
    return candidate


def select_views(views: Iterable[View], wanted: str) -> list[View]:
    """Take the plots of the histograms called `wanted`, a name or a shell pattern.

    Raises
    ------
    HistogramNotFoundError
        ``result-histogram-not-found``: none has this name.
    """
    views = list(views)
    found = [view for view in views if wanted in {view.name, view.source}]
    found = found or [view for view in views if fnmatchcase(view.source, wanted)]
    if found:
        return found
    names = list(dict.fromkeys(view.source for view in views))
    close = get_close_matches(wanted, names, n=3, cutoff=0.4) or names[:8]
    raise HistogramNotFoundError(
        f"No histogram is called {wanted!r}.",
        why=f"the output holds {len(names)} histograms",
        fix=f"did you mean {' or '.join(map(repr, close))}?" if close else "",
    )
