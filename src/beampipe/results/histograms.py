"""The histograms of an output: found in nested containers and brought into one shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from beampipe.results.contents import Leaf, is_histogram, walk_output


def collect_histograms(output: Any) -> list[tuple[str, Any]]:
    """Find every histogram in a nested output.

    Parameters
    ----------
    output : Any
        What a processor returned: nested mappings, lists or tuples, or one histogram.

    Returns
    -------
    list of (str, hist.Hist)
        The path of keys joined by ``/``, and the histogram, in the order of the output.
    """
    return [(leaf.name, as_hist(leaf.value)) for leaf in find_histograms(output)]


def find_histograms(output: Any) -> list[Leaf]:
    """Find every histogram in a nested output, with its path of keys."""
    return [leaf for leaf in walk_output(output) if is_histogram(leaf.value)]


def as_hist(histogram: Any) -> Any:
    """Return a boost-histogram as a `hist.Hist`, whose axes have names and labels."""
    import hist  # with boost-histogram 0.2 s: not at import

    return histogram if isinstance(histogram, hist.BaseHist) else hist.Hist(histogram)


def is_category(axis: Any) -> bool:
    """Whether an axis counts things by name (categories, yes or no) and not along a line."""
    import boost_histogram as bh  # not at import, see as_hist

    return isinstance(axis, (bh.axis.StrCategory, bh.axis.IntCategory, bh.axis.Boolean))


def read_categories(axis: Any) -> list[str]:
    """List the categories of an axis as text, in the order of its bins."""
    return [str(axis.bin(index)) for index in range(len(axis))]


def is_profile(histogram: Any) -> bool:
    """Whether the bins hold means and not sums."""
    import boost_histogram as bh  # not at import, see as_hist

    return bool(histogram.kind == bh.Kind.MEAN)


def match_parts(leaf: Leaf, by_dataset: Mapping[str, Any]) -> dict[str, Any]:
    """Find the same histogram in every dataset, if the datasets add up to it.

    Parameters
    ----------
    leaf : Leaf
        A histogram of the summed output.
    by_dataset : mapping of str to Any
        The outputs per dataset, before `postprocess`.

    Returns
    -------
    dict of str to hist.Hist
        Empty when fewer than two datasets have it, when a `postprocess` changed it, or when the
        axes differ; then only the sum can be drawn truthfully.
    """
    import numpy as np  # not at import: the room is imported by the front door

    parts = {
        dataset: as_hist(found.value)
        for dataset, output in by_dataset.items()
        for found in find_histograms(output)
        if found.path == leaf.path
    }
    total = as_hist(leaf.value)
    if len(parts) < 2 or is_profile(total):
        return {}
    if any(part.axes != total.axes for part in parts.values()):
        return {}
    added = sum(np.asarray(part.values(flow=True), dtype=float) for part in parts.values())
    adds_up = np.allclose(added, total.values(flow=True), rtol=1e-9, equal_nan=True)
    return parts if adds_up else {}
