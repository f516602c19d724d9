"""JSON: histograms in the UHI schema, everything else as plain values, nested as in the output.

Read back with ``json.load(file, object_hook=uhi.io.json.object_hook)``; `hist.Hist` takes what
stands for a histogram. NaN and infinities are written as Python's json does (``NaN``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from beampipe.results.contents import is_array, is_histogram, unwrap
from beampipe.results.exports.exported import Exported, mapped_errors, partial_path
from beampipe.results.exports.origin import MEMBER, Origin
from beampipe.results.histograms import as_hist


def write_json(output: Any, path: Path, origin: Origin | None = None) -> Exported:
    """Write an output into one JSON file.

    Parameters
    ----------
    output : Any
        The summed output.
    path : Path
        The file; replaced if it is there.
    origin : mapping, optional
        Kept under ``"beampipe_run"``, beside the outputs.

    Returns
    -------
    Exported
        Objects that JSON has no form for are among the skipped.
    """
    encoder = _Encoder()
    tree = encoder.encode(output, ())
    if origin is not None and isinstance(tree, dict) and isinstance(output, Mapping):
        tree.setdefault(MEMBER, dict(origin))
    if encoder.written:
        part = partial_path(path)
        with mapped_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                part.write_text(json.dumps(tree, ensure_ascii=False, indent=1), encoding="utf-8")
                part.replace(path)
            finally:
                part.unlink(missing_ok=True)
    return Exported(path, tuple(encoder.written), encoder.skipped)


_NOTHING = object()


class _Encoder:
    """Turns a nested output into what `json` takes, and keeps the books."""

    def __init__(self) -> None:
        self.written: list[str] = []
        self.skipped: dict[str, str] = {}

    def encode(self, value: Any, path: tuple[str, ...]) -> Any:
        value = unwrap(value)
        if isinstance(value, Mapping):
            items = (
                (str(key), self.encode(item, (*path, str(key)))) for key, item in value.items()
            )
            return {key: item for key, item in items if item is not _NOTHING}
        name = "/".join(path) or "output"
        try:
            plain = _make_plain(value)
        except TypeError as error:
            self.skipped[name] = str(error)
            return _NOTHING
        self.written.append(name)
        return plain


def _make_plain(value: Any) -> Any:
    """Turn a leaf into plain values.

    Raises
    ------
    TypeError
        With the reason, for what JSON has no form for.
    """
    value = unwrap(value)
    if is_histogram(value):
        from uhi.io.json import default  # not at import

        # through text: the schema's own arrays become lists on the way
        return json.loads(json.dumps(as_hist(value), default=default))
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping):
        return {str(key): _make_plain(item) for key, item in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted((_make_plain(item) for item in value), key=str)
    if isinstance(value, (list, tuple)):
        return [_make_plain(item) for item in value]
    if is_array(value) and hasattr(value, "to_list"):
        return value.to_list()
    if hasattr(value, "tolist"):
        return _make_plain(value.tolist())
    raise TypeError(f"a {type(value).__name__}, for which JSON has no form")
