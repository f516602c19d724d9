"""What can be told about a file without opening it: how large, and which version of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from beampipe.datasets.file_errors import (
    MappedFileErrors,
    check_local_file,
    explain_beginning,
    truncated_error,
)
from beampipe.datasets.remote_options import storage_options
from beampipe.datasets.urls import is_remote, is_xrootd
from beampipe.datasets.xrootd_client import stat_file
from beampipe.errors import DatasetError

SMALLEST_ROOT_FILE_BYTES = 403

STAMPS = ("ETag", "mtime", "LastModified", "last_modified", "Last-Modified", "updated", "md5")
"""Where fsspec's file systems say which version of a file they hold, the surest first."""


@dataclass(frozen=True, slots=True)
class FileState:
    """Size and version of a file.

    Attributes
    ----------
    size_bytes : int or None
        None where the storage does not tell [bytes].
    stamp : str or None
        Changes when the file does (modification time, ETag); None where the storage does not tell.
    """

    size_bytes: int | None
    stamp: str | None

    @property
    def can_be_remembered(self) -> bool:
        """Whether a changed file would be noticed."""
        return self.size_bytes is not None and self.stamp is not None


def read_file_state(url: str) -> FileState:
    """Ask the file system, or the server, about a file.

    Parameters
    ----------
    url : str
        Absolute path or URL.

    Returns
    -------
    FileState
        From one call of stat, or one request.

    Raises
    ------
    DatasetError
        A leaf for a file that is missing, may not be read, is empty or no regular file.
    """
    if not is_remote(url):
        found = check_local_file(url)
        return FileState(found.st_size, str(found.st_mtime_ns))
    with MappedFileErrors(url):
        return _read_remote_state(url)


def _read_remote_state(url: str) -> FileState:
    if is_xrootd(url):
        return _read_xrootd_state(url)
    # fsspec takes time to import, and local files never need it
    from fsspec.core import url_to_fs

    file_system, path = url_to_fs(url, **storage_options(url))
    info: dict[str, Any] = file_system.info(path)
    size = info.get("size")
    if size is not None and size < SMALLEST_ROOT_FILE_BYTES:
        raise _explain_small(url, bytes(file_system.cat_file(path)) if size else b"")
    stamp = next((f"{name}={info[name]}" for name in STAMPS if info.get(name)), None)
    return FileState(size, stamp)


def _read_xrootd_state(url: str) -> FileState:
    size, mtime_s = stat_file(url)
    if size < SMALLEST_ROOT_FILE_BYTES:
        from beampipe.datasets.xrootd_source import XRootDSource  # it imports uproot

        with XRootDSource(url) as source:
            beginning = bytes(source.chunk(0, size).raw_data) if size else b""
        raise _explain_small(url, beginning)
    return FileState(size, f"mtime={mtime_s}")


def _explain_small(url: str, content: bytes) -> DatasetError:
    """What is fetched of a file at once is more than this; no ROOT file, or the stump of one."""
    size = len(content)
    return explain_beginning(url, content, size=size) or truncated_error(url, size=size, end=None)
