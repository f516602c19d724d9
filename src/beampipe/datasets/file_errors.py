"""The border to what opens files: whatever it raises becomes one of our errors."""

from __future__ import annotations

import difflib
import os
import re
import stat
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Self

from beampipe.datasets.urls import XROOTD, hide_secrets, is_remote, scheme_of, show_url
from beampipe.error_kinds import classify_error
from beampipe.errors import (
    BeampipeError,
    DatasetError,
    FileAccessError,
    FileEmptyError,
    FileMissingError,
    FileTruncatedError,
    FileUnreadableError,
    NotRootError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from beampipe.environments.refusals import Refusal

HEADER_BYTES = 64
TOO_MANY_BYTES = re.compile(
    r"expected Chunk of length (?P<expected>[0-9]+),\s+received (?P<received>[0-9]+)"
)
MAX_WHY = 300
HTTP_DENIED = (401, 403)
XROOTD_DENIED = re.compile(r"\[30(10|30)\]|\b(auth|login) failed|no protocols left", re.IGNORECASE)
"""Not authorized, authentication failed, and the client's own words."""
_NO_KEYS = {"NoCredentialsError", "PartialCredentialsError"}  # botocore's, without importing it
_RENEW = "renew the proxy or token that this storage asks for"
_FIXES = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, on workers too; of a"
    " public bucket FSSPEC_S3_ANON=true"
}
UNREACHABLE = (FileNotFoundError, ConnectionError, TimeoutError)
BIG_FILE_VERSION = 1_000_000
"""From this version number on, a ROOT header holds 64-bit positions."""

KNOWN_BEGINNINGS = (
    (b"PAR1", "a Parquet file"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"PK\x03\x04", "a zip archive"),
    (b"version https://git-lfs", "a git-lfs pointer; fetch the file itself with `git lfs pull`"),
    (b"<", "an HTML or XML page, such as a login or error page"),
    (b"{", "JSON"),
)


class MappedFileErrors:
    """Context in which foreign errors about one file become leaves of `DatasetError`.

    What storage plugins and a damaged file can raise has no common base but `Exception`.

    Parameters
    ----------
    url : str
        The file that is worked on.

    Examples
    --------
    >>> with MappedFileErrors("/nowhere/a.root"):
    ...     open("/nowhere/a.root", "rb")
    Traceback (most recent call last):
    beampipe.errors.FileMissingError: [dataset-file-missing] /nowhere/a.root does not exist.
    ...
    """

    def __init__(self, url: str) -> None:
        self.url = url

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, Exception) and not isinstance(error, BeampipeError):
            raise explain_file_error(self.url, error) from error


def explain_file_error(url: str, error: Exception) -> DatasetError:
    """Find out what is wrong with a file that could not be opened or read.

    Parameters
    ----------
    url : str
        The file.
    error : Exception
        What was raised by the system, fsspec, uproot, a storage plugin.

    Returns
    -------
    DatasetError
        The leaf that names the cause as closely as can be told; to be raised from `error`.
    """
    if is_remote(url):
        return _explain_remote(url, error)
    try:
        size = check_local_file(url).st_size
        with Path(url).open("rb") as file:
            beginning = file.read(HEADER_BYTES)
    except DatasetError as cause:
        return cause
    except OSError as cause:
        return _explain_os_error(url, cause)
    return explain_beginning(url, beginning, size=size) or _unreadable(url, error)


def check_local_file(path: str) -> os.stat_result:
    """See whether a local path can be a ROOT file at all, without opening it.

    Parameters
    ----------
    path : str
        Absolute path.

    Returns
    -------
    os.stat_result
        Of the file behind any links.

    Raises
    ------
    DatasetError
        A leaf for: missing, no access, a directory or special file, no bytes.
    """
    try:
        found = Path(path).stat()
    except OSError as error:
        raise _explain_os_error(path, error) from error
    if not stat.S_ISREG(found.st_mode):
        kind = "a directory" if stat.S_ISDIR(found.st_mode) else "a device, pipe or socket"
        raise NotRootError(
            f"{path} is not a ROOT file.",
            why=f"it is {kind}",
            fix="name a file; a directory is searched when it stands for a whole dataset",
            url=path,
        )
    if found.st_size == 0:
        raise _empty(path)
    return found


def explain_beginning(url: str, beginning: bytes, *, size: int | None) -> DatasetError | None:
    """Judge a file by its first bytes.

    Parameters
    ----------
    url : str
        The file.
    beginning : bytes
        At least 32 bytes, fewer if the file is shorter.
    size : int or None
        Size of the file, None if unknown [bytes].

    Returns
    -------
    DatasetError or None
        None if it begins as a ROOT file does and is as long as its header says.
    """
    if size == 0:
        return _empty(url)
    if not beginning.startswith(b"root"):
        kind = next((kind for start, kind in KNOWN_BEGINNINGS if beginning.startswith(start)), "")
        return NotRootError(
            f"{show_url(url)} is not a ROOT file.",
            why=f"it begins with {beginning[:4]!r}, not b'root'" + (kind and f": {kind}"),
            fix="take it out of the fileset, or fetch it again",
            url=show_url(url),
        )
    end = _end_in_header(beginning)
    if end is None or (size is not None and size < end):
        return truncated_error(url, size=len(beginning) if size is None else size, end=end)
    return None


def truncated_error(url: str, *, size: int, end: int | None) -> FileTruncatedError:
    """Make the error for a file that is shorter than its header says.

    Parameters
    ----------
    url : str
        The file.
    size : int
        What there is [bytes].
    end : int or None
        What the header promises, None when the header itself is cut [bytes].

    Returns
    -------
    FileTruncatedError
        Not raised.
    """
    promise = "not even its header is whole" if end is None else f"its header says {end:,}"
    return FileTruncatedError(
        f"{show_url(url)} is truncated.",
        why=f"it has {size:,} bytes, and {promise}",
        fix="copy it again from where it came; the copy or the job that wrote it was cut short",
        url=show_url(url),
        size_bytes=size,
    )


def _end_in_header(beginning: bytes) -> int | None:
    try:
        (version,) = struct.unpack_from(">i", beginning, 4)
        layout = ">q" if version >= BIG_FILE_VERSION else ">i"
        return int(struct.unpack_from(layout, beginning, 12)[0])
    except struct.error:
        return None


def _empty(url: str) -> FileEmptyError:
    return FileEmptyError(
        f"{show_url(url)} is empty.",
        why="it has zero bytes",
        fix="copy or make it again, or take it out of the fileset",
        url=show_url(url),
    )


def _explain_os_error(path: str, error: OSError) -> DatasetError:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return missing_error(path)
    if isinstance(error, PermissionError):
        return FileAccessError(
            f"{path} may not be read.",
            why=f"{error.strerror or error} (as user {os.geteuid()})",
            fix="ask its owner for read permission, on the folders above it too; on AFS, EOS or"
            " with a proxy, renew your credentials",
            url=path,
        )
    return _unreadable(path, error)


def missing_error(path: str) -> FileMissingError:
    """Make the error for a local path where nothing is, with the closest names there are.

    Parameters
    ----------
    path : str
        Absolute path.

    Returns
    -------
    FileMissingError
        Not raised.
    """
    file = Path(path)
    folder = file.parent
    if file.is_symlink():
        why = f"it is a link to {file.readlink()}, which does not exist"
    elif folder.is_dir():
        why = f"there is no such name in {folder}"
    else:
        why = f"there is no folder {folder}"
    close = difflib.get_close_matches(file.name, _names_in(folder), n=3, cutoff=0.7)
    guess = f"; did you mean {' or '.join(repr(found) for found in close)}?" if close else ""
    return FileMissingError(
        f"{path} does not exist.",
        why=why + guess,
        fix="correct the path (relative ones start from the current folder, in a fileset file from"
        " that file's folder), or take it out",
        url=path,
    )


def _names_in(folder: Path) -> list[str]:
    try:
        return [path.name for path in folder.iterdir()]
    except OSError:
        return []


def _unreadable(url: str, error: BaseException) -> FileUnreadableError:
    explained = FileUnreadableError(
        f"{show_url(url)} cannot be read.",
        why=describe_error(error),
        fix="look at it with ROOT or `python -m uproot`; if it is damaged, copy or make it again",
        url=show_url(url),
    )
    explained.__cause__ = error
    verdict = classify_error(explained)
    if verdict.kind != "data":  # the file itself may be fine
        explained.fix = verdict.fix
    return explained


def describe_error(error: BaseException) -> str:
    """Put a foreign error in one short line without secrets.

    Parameters
    ----------
    error : BaseException
        Any error.

    Returns
    -------
    str
        Its type and the first line of its text.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    return hide_secrets(text)[:MAX_WHY]


def _explain_remote(url: str, error: Exception) -> DatasetError:
    shown, chain = show_url(url), list(_causes(error))
    facts = " <- ".join(dict.fromkeys(describe_error(cause) for cause in chain))[:MAX_WHY]
    if any(isinstance(cause, ImportError) for cause in chain):
        plugin = {"root": "xrootd fsspec-xrootd", "s3": "s3fs"}.get(scheme_of(url))
        return FileUnreadableError(
            f"{shown} cannot be opened: the software for {scheme_of(url)}:// is not installed.",
            why=facts,
            fix=f"pip install {plugin}" if plugin else "install the package that the reason names",
            url=shown,
        )
    if _is_denied(url, chain):
        refusal = find_refusal(url, error)
        return FileAccessError(
            f"{shown} may not be read.",
            why=f"{refusal.why}; {facts}" if refusal else facts,
            fix=refusal.fix if refusal else _FIXES.get(scheme_of(url), _RENEW),
            url=shown,
        )
    if any(isinstance(cause, UNREACHABLE) for cause in chain):
        return FileMissingError(
            f"{shown} does not exist or cannot be reached.",
            why=facts,
            fix="check the address and the network; name a replica, if there is one",
            url=shown,
        )
    counts = TOO_MANY_BYTES.search(str(error))
    if counts is not None and int(counts["received"]) > int(counts["expected"]):
        return FileUnreadableError(
            f"{shown} cannot be read in parts.",
            why="its server sends whole files: it does not know byte ranges",
            fix="copy the file, serve it by another server, or write simplecache:: in front of it",
            url=shown,
        )
    if any("is a directory" in str(cause) for cause in chain):
        return NotRootError(
            f"{shown} is a folder.",
            why=facts,
            fix="write a slash at its end: all files in it and below are taken",
            url=shown,
        )
    if "not a ROOT file" in str(error):
        return NotRootError(
            f"{shown} is not a ROOT file.",
            why=facts,
            fix="check the address: servers answer with a page when a login or a file is missing",
            url=shown,
        )
    return _unreadable(url, error)


def find_refusal(url: str, error: Exception) -> Refusal | None:
    """Say what is wrong with proxy and token here, if a server refused them.

    Parameters
    ----------
    url : str
        What was asked for.
    error : Exception
        What was raised by fsspec or a storage plugin.

    Returns
    -------
    Refusal or None
        None if it was no refusal, or if nothing is wrong with them as far as can be seen.
    """
    if not is_remote(url) or not _is_denied(url, list(_causes(error))):
        return None
    from beampipe.environments.refusals import explain_refusal  # only now: it takes its time

    return explain_refusal(url)


def _is_denied(url: str, chain: list[BaseException]) -> bool:
    if scheme_of(url) in XROOTD and any(XROOTD_DENIED.search(str(cause)) for cause in chain):
        return True
    if any(type(cause).__name__ in _NO_KEYS for cause in chain):
        return True
    denied = any(getattr(cause, "status", None) in HTTP_DENIED for cause in chain)
    return denied or any(isinstance(cause, PermissionError) for cause in chain)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Go down the chain: fsspec calls every failure of HTTP a missing file."""
    while error is not None:
        yield error
        error = error.__cause__
