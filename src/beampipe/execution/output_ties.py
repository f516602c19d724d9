"""What a processor may return, beyond what can be added: nothing shared, nothing tied here."""

from __future__ import annotations

from typing import Any

import cloudpickle
import numpy as np

from beampipe.errors import ProcessorOutputError
from beampipe.execution.accumulators import shares_state
from beampipe.execution.outputs import (
    is_awkward,
    is_histogram,
    is_tree,
    iter_leaves,
    path_text,
    type_text,
)

# Values of these types can always be pickled.
_TRAVELLERS = (bool, int, float, complex, str, bytes, type(None), np.number, np.bool_)


def materialize(output: Any) -> Any:
    """Load the columns that an output still only refers to; their file is closed soon."""
    if is_tree(output):
        for key, item in list(output.items()):
            output[key] = materialize(item)
        return output
    if is_awkward(output):
        import awkward as ak

        return ak.materialize(output)
    if isinstance(output, list) and output and is_awkward(output[0]):
        output[:] = map(materialize, output)
    return output


def check_can_travel(value: Any) -> None:
    """Refuse a value that cannot leave the worker, before Dask fails on it far from here.

    Raises
    ------
    ProcessorOutputError
        ``processor-output``: names the key path.
    """
    for path, leaf in iter_leaves(value):
        if isinstance(leaf, _TRAVELLERS) or is_histogram(leaf) or is_awkward(leaf):
            continue
        try:
            cloudpickle.dumps(leaf)
        except Exception as error:  # pickling runs code of any class
            raise ProcessorOutputError(
                f"The processor returned something that cannot be stored: {path_text(path)}.",
                why=f"it is a {type_text(leaf)}: {type(error).__name__}: {error}",
                fix="return numbers, arrays, histograms and the like; no locks, files, functions",
            ) from error


def check_is_new(last: Any, output: Any) -> None:
    """Refuse an output that holds on to what the one before held.

    Raises
    ------
    ProcessorOutputError
        ``processor-output``: names the object that both hold.
    """
    shared = None if last is None else shares_state(last, output)
    if shared is not None:
        raise ProcessorOutputError(
            f"The processor returned the same object for two chunks: {shared}.",
            why="what it holds of one chunk would be counted again with the next",
            fix="make histograms and dictionaries inside the function (or `process`)",
        )
