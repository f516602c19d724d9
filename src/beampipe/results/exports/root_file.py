"""ROOT: histograms as TH1, TH2, TH3 and TProfile, nested names as directories, through uproot.

Cutflows become TH1D with labelled bins, single numbers and strings a TObjString. ROOT cannot hold
histograms of more than three axes or without bins, and means that are weighted or have several
axes; arrays belong in parquet.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from beampipe.results.contents import Contents, Leaf, sort_contents, unwrap
from beampipe.results.exports.exported import (
    Exported,
    make_member_name,
    mapped_errors,
    partial_path,
)
from beampipe.results.exports.origin import MEMBER, Origin
from beampipe.results.histograms import as_hist, is_profile

_MAX_AXES = 3


def write_root(output: Any, path: Path, origin: Origin | None = None) -> Exported:
    """Write the histograms, cutflows and numbers of an output into one ROOT file.

    Parameters
    ----------
    output : Any
        The summed output.
    path : Path
        The file; replaced if it is there.
    origin : mapping, optional
        Kept as JSON in a TObjString ``beampipe_run``.

    Returns
    -------
    Exported
        With what ROOT cannot hold among the skipped. Nothing is written if that is everything.
    """
    contents = sort_contents(output)
    objects, skipped = _convert(contents)
    if objects:
        about = [] if origin is None else [Leaf((MEMBER,), json.dumps(dict(origin)))]
        _write_file([*objects, *about], path)
    return Exported(path, tuple(leaf.name for leaf in objects), skipped)


def find_obstacle(histogram: Any) -> str:
    """Say why ROOT cannot hold a histogram; empty if it can."""
    import hist  # not at import

    if histogram.ndim > _MAX_AXES:
        return f"{histogram.ndim} axes; ROOT histograms have at most three"
    if histogram.ndim == 0 or 0 in histogram.axes.extent or 0 in histogram.shape:
        return "no bins"
    if issubclass(histogram.storage_type, hist.storage.WeightedMean):
        return "weighted means; a TProfile computes its errors otherwise"
    if is_profile(histogram) and histogram.ndim > 1:
        return "means over several axes; uproot writes profiles of one"
    return ""


def _convert(contents: Contents) -> tuple[list[Leaf], dict[str, str]]:
    objects: list[Leaf] = []
    skipped: dict[str, str] = {}
    for leaf in contents.histograms:
        histogram = as_hist(leaf.value)
        obstacle = find_obstacle(histogram)
        if obstacle:
            skipped[leaf.name] = obstacle
        else:
            objects.append(Leaf(leaf.path, _as_sums(histogram)))
    objects += [Leaf(leaf.path, _as_labelled(leaf.value)) for leaf in contents.tables]
    objects += [Leaf(leaf.path, str(leaf.value)) for leaf in contents.scalars]
    skipped |= {leaf.name: "an array; export it as parquet" for leaf in contents.arrays}
    skipped |= {leaf.name: f"a {type(leaf.value).__name__}" for leaf in contents.others}
    return objects, skipped


def _as_sums(histogram: Any) -> Any:
    """Bring integer storages to doubles, which is what TH1D holds."""
    import hist  # not at import

    if is_profile(histogram) or histogram.storage_type in {
        hist.storage.Double,
        hist.storage.Weight,
    }:
        return histogram
    sums = hist.Hist(*histogram.axes, storage=hist.storage.Double())
    sums.view(flow=True)[...] = histogram.values(flow=True)
    return sums


def _as_labelled(table: Any) -> Any:
    """Make a histogram with labelled bins of a table of numbers."""
    import hist  # not at import

    labels = list(dict.fromkeys(str(key) for key in table))
    histogram = hist.Hist(hist.axis.StrCategory(labels, name="cut"), storage=hist.storage.Double())
    histogram.view()[: len(labels)] = [float(unwrap(value)) for value in table.values()]
    return histogram


def _write_file(objects: list[Leaf], path: Path) -> None:
    import uproot  # 0.3 s: not at import

    part = partial_path(path)
    taken: set[str] = set()
    with mapped_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with uproot.recreate(part) as file:
                for leaf in objects:
                    name = "/".join(map(_clean, leaf.path)) or "output"
                    file[make_member_name(name, taken)] = leaf.value
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


def _clean(key: str) -> str:
    """Take out what a name in a ROOT file cannot have: slashes, cycles, control characters."""
    return re.sub(r"[/;\x00-\x1f]", "_", key).strip() or "_"
