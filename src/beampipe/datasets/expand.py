"""From what people write to files: globs, directories, remote globs, plain names."""

from __future__ import annotations

import difflib
import glob
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from beampipe.datasets.file_errors import MappedFileErrors
from beampipe.datasets.remote_options import storage_options
from beampipe.datasets.urls import URL_PATTERN, XROOTD, is_remote, local_path, scheme_of, show_url
from beampipe.errors import FilesetFormError, NoFilesError

ROOT_SUFFIX = ".root"
PARQUET_SUFFIXES = (".parquet", ".parq", ".pq")


def expand_files(text: str, base: str) -> list[str]:
    """Find the files that a path, glob, directory or URL stands for.

    Parameters
    ----------
    text : str
        Local: a file, a directory (every ``*.root`` in it and below), a glob (``**`` too).
        Remote: a URL, one with ``*`` in its path, or a directory's URL ending in a slash.
        A file that exists under exactly this name is taken as it is, whatever signs it holds.
    base : str
        Folder that relative paths start from.

    Returns
    -------
    list of str
        Absolute paths and URLs; those found by a search in natural order (``f2`` before
        ``f10``). A plain name is returned whether or not there is such a file.

    Raises
    ------
    NoFilesError
        ``dataset-no-files``: a glob or directory without files.
    FilesetFormError
        ``dataset-fileset-form``: nothing that can be a ROOT file.
    """
    if not text.strip():
        raise FilesetFormError(
            "A file's name is empty.",
            why=f"the name is {text!r}",
            fix="write a path, glob, directory or URL",
        )
    files = _expand_local(text, base) if _is_local(text, base) else _expand_remote(text)
    for file in files:
        _refuse_parquet(file)
    return files


def natural_key(text: str) -> tuple[list[str | int], str]:
    """Give a sort key under which numbers inside names count as numbers.

    Parameters
    ----------
    text : str
        A name.

    Returns
    -------
    tuple
        Compares ``f2.root`` before ``f10.root``.

    Examples
    --------
    >>> sorted(["f10.root", "f2.root", "f1.root"], key=natural_key)
    ['f1.root', 'f2.root', 'f10.root']
    """
    parts = re.split(r"([0-9]+)", text)
    return [int(part) if i % 2 else part for i, part in enumerate(parts)], text


def is_single_name(text: str, base: str) -> bool:
    """Tell whether a text names one file rather than a search.

    Parameters
    ----------
    text : str
        As for :func:`expand_files`.
    base : str
        Folder that relative paths start from.

    Returns
    -------
    bool
        False for globs and directories.
    """
    if not _is_local(text, base):
        return not _is_remote_search(text)
    path = Path(local_path(text, base))
    return not path.is_dir() and (path.exists() or not glob.has_magic(text))


def _is_local(text: str, base: str) -> bool:
    return not is_remote(text) or Path(local_path(text, base)).exists()


def _expand_local(text: str, base: str) -> list[str]:
    path = local_path(text, base)
    if os.path.isdir(path):  # noqa: PTH112 a set may name 100,000 files; Path takes five times as long
        return _find_in_directory(path)
    if glob.has_magic(text) and not Path(path).exists():
        return _expand_glob(text, base)
    if text.endswith("/"):
        raise NoFilesError(
            f"There is no directory {path}.",
            why=_describe_folder(Path(path)),
            fix="correct the path",
            url=path,
        )
    return [path]


def _expand_glob(text: str, base: str) -> list[str]:
    if text.startswith(("~", "file://")):
        text = local_path(text, base)
    folder, name = os.path.split(text)
    if glob.has_magic(folder) and Path(local_path(folder, base)).is_dir():
        text = f"{glob.escape(folder)}/{name}"  # brackets in the name of a folder that is there
    matches = glob.glob(text, root_dir=base, recursive=True)  # noqa: PTH207 takes absolute ones
    found: list[str] = []
    for path in sorted((local_path(match, base) for match in matches), key=natural_key):
        if Path(path).is_dir():
            found += _search_directory(path)
        else:
            found.append(path)
    if found:
        return list(dict.fromkeys(found))
    pattern = Path(local_path(text, base))
    raise NoFilesError(
        f"No file matches {pattern}.",
        why=_describe_folder(pattern.parent),
        fix="correct the pattern; relative ones start from the current folder, in a fileset file"
        " from that file's folder",
        pattern=str(pattern),
    )


def _find_in_directory(path: str) -> list[str]:
    found = _search_directory(path)
    if found:
        return found
    raise NoFilesError(
        f"The directory {path} holds no ROOT file.",
        why=f"nothing in it or below it ends in {ROOT_SUFFIX}; {_describe_folder(Path(path))}",
        fix="name another directory, or use a glob if the files end otherwise",
        url=path,
    )


def _search_directory(path: str) -> list[str]:
    found: list[str] = []
    seen: set[str] = set()
    for folder, subfolders, names in os.walk(path, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:  # a link that leads back up
            subfolders.clear()
            continue
        seen.add(real)
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        found += [
            f"{folder}/{name}"
            for name in names
            if name.lower().endswith(ROOT_SUFFIX) and not name.startswith(".")
        ]
    return sorted(found, key=natural_key)


def _describe_folder(folder: Path) -> str:
    """Say how much of a path is there: the first folder that is missing, or what the last holds."""
    if glob.has_magic(str(folder)) and not folder.exists():
        return "nothing is there under such a name"
    for path in (*reversed(folder.parents), folder):
        if not path.exists():
            return f"there is no {path}"
    try:
        names = sorted(path.name for path in folder.iterdir())
    except OSError as error:
        return f"{folder}: {error.strerror}"
    if not names:
        return f"{folder} is empty"
    some = ", ".join(repr(name) for name in names[:3])
    return f"{folder} holds {len(names)} other name(s), such as {some}"


def _is_remote_search(url: str) -> bool:
    path = url.partition("?")[0]
    return "*" in path or path.endswith("/")


def _expand_remote(url: str) -> list[str]:
    _check_scheme(url)
    if not _is_remote_search(url):
        return [url]
    pattern = url if "*" in url else f"{url}**/*{ROOT_SUFFIX}"
    with MappedFileErrors(url):
        found = _glob_remote(pattern)
    if found:
        return found
    raise NoFilesError(
        f"No file matches {show_url(pattern)}.",
        why="the server lists none",
        fix="correct the address; servers that give no listing need every file named",
        pattern=show_url(pattern),
    )


def _glob_remote(pattern: str) -> list[str]:
    # fsspec takes time to import, and local filesets never need it
    from fsspec.core import url_to_fs

    file_system: Any
    file_system, path = url_to_fs(pattern, **storage_options(pattern))
    names = [file_system.unstrip_protocol(name) for name in file_system.glob(path)]
    if not names:
        # To a search, what cannot be listed is empty: a refusal, a server that is not there.
        with suppress(FileNotFoundError, NotADirectoryError):
            file_system.ls(path.partition("*")[0].rpartition("/")[0] or "/")
    return sorted((name for name in names if not name.endswith("/")), key=natural_key)


def _check_scheme(url: str) -> None:
    from fsspec.registry import available_protocols

    # XRootD's are known to fsspec only where fsspec-xrootd is installed; that error comes later.
    known = (*available_protocols(), *XROOTD)
    scheme = scheme_of(url)
    if scheme in known:
        return
    close = difflib.get_close_matches(scheme, known, n=1)
    raise FilesetFormError(
        f"Nothing here can open {show_url(url)}.",
        why=f"the protocol {scheme!r} is not known to fsspec",
        fix=f"did you mean {close[0]!r}?" if close else "use root://, https://, s3:// or a path",
        url=show_url(url),
    )


def _refuse_parquet(file: str) -> None:
    if URL_PATTERN.match(file):
        file = show_url(file.partition("?")[0])
    if file.lower().endswith(PARQUET_SUFFIXES):
        raise FilesetFormError(
            f"{file} is a Parquet file, and Beampipe reads ROOT files only.",
            why="events are read from TTrees and RNTuples",
            fix="take it out of the fileset; for Parquet use dask-dataframe or Awkward Array",
            url=file,
        )
