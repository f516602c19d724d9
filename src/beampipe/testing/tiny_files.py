"""Tiny ROOT files, whole and broken in every way that real ones are.

For tests of anything that reads filesets: each function writes one file and gives its path.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

NUMBER_BRANCH = "x"
"""Every tree here has this branch: 0.0, 1.0, 2.0 and so on [float64]."""


def write_tree_file(
    path: str | Path, *, events: int = 100, treename: str = "Events", compression: str | None = None
) -> Path:
    """Write a file with one TTree.

    Parameters
    ----------
    path : str or Path
        Where; folders are made as needed.
    events : int, default 100
        Entries of the tree; 0 is a tree without events.
    treename : str, default "Events"
        May lie in a subdirectory: ``"ntuples/Events"``.
    compression : {"zlib", "lzma", "lz4", "zstd"}, optional
        None for no compression.

    Returns
    -------
    Path
        `path`.
    """
    return write_trees_file(path, {treename: events}, compression=compression)


def write_trees_file(
    path: str | Path, trees: dict[str, int], *, compression: str | None = None
) -> Path:
    """Write a file with several TTrees.

    Parameters
    ----------
    path : str or Path
        Where; folders are made as needed.
    trees : dict of str to int
        Names, which may lie in subdirectories, and entries. None at all: a file with a histogram
        and no tree.
    compression : {"zlib", "lzma", "lz4", "zstd"}, optional
        None for no compression.

    Returns
    -------
    Path
        `path`.
    """
    import numpy as np
    import uproot

    path = _make_folder(path)
    kinds = {"zlib": uproot.ZLIB, "lzma": uproot.LZMA, "lz4": uproot.LZ4, "zstd": uproot.ZSTD}
    method = kinds[compression](5) if compression else None
    # a handle rather than the name: fsspec takes "::" and "#" in names for its own
    with path.open("w+b") as handle, uproot.recreate(handle, compression=method) as file:
        for name, events in trees.items():
            file.mktree(name, {NUMBER_BRANCH: "f8"})
            if events:
                file[name].extend({NUMBER_BRANCH: np.arange(events, dtype="f8")})
        if not trees:
            file["histogram"] = np.histogram(np.arange(10.0), bins=5)
    return path


def write_rntuple_file(path: str | Path, *, events: int = 100, name: str = "Events") -> Path:
    """Write a file with one RNTuple.

    Parameters
    ----------
    path : str or Path
        Where; folders are made as needed.
    events : int, default 100
        Entries.
    name : str, default "Events"
        Of the RNTuple.

    Returns
    -------
    Path
        `path`.
    """
    import numpy as np
    import uproot

    path = _make_folder(path)
    with path.open("w+b") as handle, uproot.recreate(handle) as file:
        file.mkrntuple(name, {NUMBER_BRANCH: np.arange(events, dtype="f8")})
    return path


def write_truncated_file(path: str | Path, *, keep: float = 0.5, **options: Any) -> Path:
    """Write a file with one TTree and cut it short, as a broken copy is.

    Parameters
    ----------
    path : str or Path
        Where; folders are made as needed.
    keep : float, default 0.5
        Part of the bytes that is left.
    **options
        As for :func:`write_tree_file`.

    Returns
    -------
    Path
        `path`.
    """
    path = write_tree_file(path, **options)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    return path


def write_damaged_file(path: str | Path) -> Path:
    """Write a ROOT file whose header is fine and everything behind it overwritten.

    Parameters
    ----------
    path : str or Path
        Where; folders are made as needed.

    Returns
    -------
    Path
        `path`.
    """
    path = write_tree_file(path)
    data = bytearray(path.read_bytes())
    data[100:] = b"\xff" * (len(data) - 100)
    path.write_bytes(data)
    return path


def write_empty_file(path: str | Path) -> Path:
    """Write a file of zero bytes, as a job that died leaves.

    Parameters
    ----------
    path : str or Path
        Where; folders are made as needed.

    Returns
    -------
    Path
        `path`.
    """
    path = _make_folder(path)
    path.write_bytes(b"")
    return path


def write_text_file(path: str | Path, text: str = "<!DOCTYPE html><title>Sign in</title>") -> Path:
    """Write a file that is no ROOT file, by default the page that a server answers with.

    Parameters
    ----------
    path : str or Path
        Where; folders are made as needed.
    text : str
        What stands in it.

    Returns
    -------
    Path
        `path`.
    """
    path = _make_folder(path)
    path.write_text(text, encoding="utf-8")
    return path


def _make_folder(path: str | Path) -> Path:
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
