"""An output multiplied with a number: copies of its histograms and cutflows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from beampipe.results.contents import is_histogram, is_number_table, unwrap, walk_output
from beampipe.results.histograms import as_hist, is_profile


def scale_output(output: Any, factor: float) -> tuple[dict[str, Any], list[str]]:
    """Scale what a factor makes sense for.

    Parameters
    ----------
    output : Any
        The output of a dataset.
    factor : float
        What to multiply with.

    Returns
    -------
    scaled : dict
        Copies of histograms and of mappings of numbers, nested as in `output`.
    left_out : list of str
        Names of everything else: single numbers (a largest value is not to be scaled), arrays,
        sets, and histograms of means.
    """
    scaled: dict[str, Any] = {}
    left_out: list[str] = []
    for leaf in walk_output(output):
        if is_histogram(leaf.value) and not is_profile(leaf.value):
            value: Any = scale_histogram(leaf.value, factor)
        elif is_number_table(leaf.value):
            value = _scale_table(leaf.value, factor)
        else:
            left_out.append(leaf.name)
            continue
        place = scaled
        for key in leaf.path[:-1]:
            place = place.setdefault(key, {})
        place[leaf.path[-1] if leaf.path else "output"] = value
    return scaled, left_out


def _scale_table(table: Mapping[Any, Any], factor: float) -> dict[Any, float]:
    return {key: unwrap(value) * factor for key, value in table.items()}


def scale_histogram(histogram: Any, factor: float) -> Any:
    """Multiply a histogram with a factor, and its variances with the square of it.

    Parameters
    ----------
    histogram : hist.Hist
        Counts or sums of weights.
    factor : float
        What to multiply with.

    Returns
    -------
    hist.Hist
        A copy with a storage that holds variances, since the errors of a scaled count are no
        longer its square root; with the plain storage where the variances are not known.
    """
    import hist  # 0.3 s: not at import

    histogram = as_hist(histogram)
    variances = histogram.variances(flow=True)
    if variances is None:  # filled with weights into a storage without variances
        return histogram * factor
    scaled: Any = hist.Hist(*histogram.axes, storage=hist.storage.Weight())
    view = scaled.view(flow=True)
    view["value"] = factor * histogram.values(flow=True)
    view["variance"] = factor**2 * variances
    scaled.name, scaled.label = histogram.name, histogram.label
    return scaled
