"""Parquet: a directory with one table per array, cutflow and histogram, and one of the numbers.

A histogram's table has one row per bin, under- and overflow included: ``<axis>_low`` and
``<axis>_high`` (or ``<axis>`` for categories), ``value`` and ``variance``; a profile's has ``mean``
and ``count``.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beampipe.errors import ExportError
from beampipe.results.contents import Contents, is_number, sort_contents, unwrap
from beampipe.results.drawing.views import axis_name
from beampipe.results.exports.exported import (
    Exported,
    make_member_name,
    mapped_errors,
    partial_path,
)
from beampipe.results.exports.origin import MEMBER, Origin
from beampipe.results.histograms import as_hist, is_category, is_profile

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def write_parquet(output: Any, path: Path, origin: Origin | None = None) -> Exported:
    """Write an output into a directory of parquet files.

    Parameters
    ----------
    output : Any
        The summed output.
    path : Path
        The directory; an older export in it is replaced, anything else is left alone.
    origin : mapping, optional
        Kept as a table ``beampipe_run``, one row per dataset.

    Returns
    -------
    Exported
        Sets, lists, strings and objects are among the skipped.

    Raises
    ------
    ExportError
        ``result-export``: pyarrow is not installed, or the directory holds something else.
    """
    if importlib.util.find_spec("pyarrow") is None:
        raise ExportError(
            "Parquet files cannot be written here.",
            why="pyarrow is not installed",
            fix="pip install 'beampipe[parquet]'",
        )
    tables, skipped = _make_tables(sort_contents(output))
    if tables:
        about = {} if origin is None else {MEMBER: _tabulate_origin(origin)}
        _write_directory({**tables, **about}, path)
    return Exported(path, tuple(tables), skipped)


def _tabulate_origin(origin: Origin) -> Any:
    import awkward as ak  # see _make_tables

    run = {key: value for key, value in origin.items() if key != "datasets"}
    rows = [
        {**{"dataset" if key == "name" else key: value for key, value in row.items()}, "run": run}
        for row in origin["datasets"]
    ]
    return ak.Array(rows or [{"run": run}])


def tabulate_histogram(histogram: Any) -> dict[str, NDArray[Any]]:
    """Turn a histogram into columns, one row per bin.

    Parameters
    ----------
    histogram : hist.Hist
        Any axes, any storage.

    Returns
    -------
    dict of str to ndarray
        All of one length, in C order of the axes.
    """
    import numpy as np  # not at import

    columns: dict[str, NDArray[Any]] = {}
    shape = histogram.axes.extent
    taken: set[str] = {"value", "variance", "mean", "count"}
    for index, axis in enumerate(histogram.axes):
        name = make_member_name(axis_name(axis, index), taken)
        for suffix, values in _list_bins(axis).items():
            along = values.reshape([-1 if i == index else 1 for i in range(histogram.ndim)])
            columns[f"{name}{suffix}"] = np.broadcast_to(along, shape).ravel()
    with warnings.catch_warnings():  # means of empty bins divide by zero
        warnings.simplefilter("ignore", RuntimeWarning)
        values, variances = histogram.values(flow=True), histogram.variances(flow=True)
    profile = is_profile(histogram)
    columns["mean" if profile else "value"] = np.asarray(values, dtype=float).ravel()
    if profile:
        columns["count"] = np.asarray(histogram.counts(flow=True), dtype=float).ravel()
    if variances is not None:
        columns["variance"] = np.asarray(variances, dtype=float).ravel()
    return columns


def _list_bins(axis: Any) -> dict[str, NDArray[Any]]:
    """List an axis' bins with its flow bins: names, or lower and upper edges."""
    import numpy as np  # not at import

    traits = axis.traits
    if is_category(axis):
        names = [str(axis.bin(index)) for index in range(len(axis))]
        return {"": np.array([*names, *(["overflow"] if axis.extent > len(axis) else [])])}
    edges: NDArray[np.float64] = np.asarray(axis.edges, dtype=float)
    under, over = [-np.inf] if traits.underflow else [], [np.inf] if traits.overflow else []
    low = np.concatenate([under, edges[:-1], edges[-1:] if over else []])
    high = np.concatenate([edges[:1] if under else [], edges[1:], over])
    return {"_low": low, "_high": high}


def _make_tables(contents: Contents) -> tuple[dict[str, Any], dict[str, str]]:
    """Turn the leaves into tables by name; say what has no table."""
    import awkward as ak  # 0.3 s: not at import

    tables: dict[str, Any] = {}
    skipped: dict[str, str] = {}
    for leaf in contents.histograms:
        histogram = as_hist(leaf.value)
        if histogram.ndim == 0 or 0 in histogram.axes.extent:
            skipped[leaf.name] = "no bins"
        else:
            tables[leaf.name] = ak.Array(tabulate_histogram(histogram))
    for leaf in contents.tables:
        values = [float(unwrap(value)) for value in leaf.value.values()]
        tables[leaf.name] = ak.Array({"name": [str(key) for key in leaf.value], "value": values})
    for leaf in contents.arrays:
        if getattr(leaf.value, "dtype", None) is not None and leaf.value.dtype.kind not in "biufM":
            skipped[leaf.name] = f"an array of {leaf.value.dtype}"
        else:
            array = ak.Array(leaf.value)
            tables[leaf.name] = array if array.fields else ak.Array({"value": array})
    numbers = [leaf for leaf in contents.scalars if is_number(leaf.value)]
    if numbers:
        names, values = [leaf.name for leaf in numbers], [float(leaf.value) for leaf in numbers]
        tables["values"] = ak.Array({"name": names, "value": values})
    for leaf in (*(leaf for leaf in contents.scalars if leaf not in numbers), *contents.others):
        skipped[leaf.name] = f"a {type(leaf.value).__name__}"
    return tables, skipped


def _write_directory(tables: dict[str, Any], path: Path) -> None:
    import awkward as ak  # see _make_tables

    part = partial_path(path)
    taken: set[str] = set()
    with mapped_errors(path):
        _check_replaceable(path)
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        try:
            for name, table in tables.items():
                stem = re.sub(r"[^\w.+=-]+", "_", name.replace("/", ".")).strip("._")[:100]
                member = make_member_name(stem or "output", taken)
                ak.to_parquet(table, part / f"{member}.parquet")
            _replace_directory(part, path)
        finally:
            shutil.rmtree(part, ignore_errors=True)


def _replace_directory(part: Path, path: Path) -> None:
    """Put `part` where `path` is; what was there goes last, so that one of them always is."""
    old = path.with_name(f".{path.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if path.exists():
        path.replace(old)
    part.replace(path)
    shutil.rmtree(old, ignore_errors=True)


def _check_replaceable(path: Path) -> None:
    """Refuse to write over what is no export."""
    if not path.exists():
        return
    if path.is_dir() and all(entry.suffix == ".parquet" for entry in path.iterdir()):
        return
    raise ExportError(
        f"{path} is there already, and is no directory of parquet files.",
        why="exporting would remove what is in it",
        fix="give another directory with --output",
    )
