"""coffea: the output as it is, for ``coffea.util.load``."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

from beampipe.errors import ExportError
from beampipe.results.contents import walk_output
from beampipe.results.exports.exported import Exported, mapped_errors, partial_path
from beampipe.results.exports.origin import Origin


def write_coffea(output: Any, path: Path, origin: Origin | None = None) -> Exported:
    """Write an output with ``coffea.util.save``.

    Parameters
    ----------
    output : Any
        The summed output.
    path : Path
        The file; replaced if it is there.
    origin : mapping, optional
        Not written: what is in the file is to be added to that of other files.

    Returns
    -------
    Exported
        Nothing is skipped.

    Raises
    ------
    ExportError
        ``result-export``: something in the output cannot be pickled.
    """
    del origin
    from coffea.util import save  # 1 s: not at import

    part = partial_path(path)
    with mapped_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            save(output, str(part))
            part.replace(path)
        except (pickle.PicklingError, TypeError, AttributeError) as error:
            raise ExportError(
                "The output cannot be written as a coffea file.",
                why=f"it cannot be pickled: {error}",
                fix="take the value out of the output, or export as json, which leaves it out",
            ) from error
        finally:
            part.unlink(missing_ok=True)
    return Exported(path, tuple(leaf.name for leaf in walk_output(output)))
