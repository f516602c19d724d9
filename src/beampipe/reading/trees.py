"""The last few trees of a worker, kept open, because opening one costs more than reading it."""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from beampipe.collector import paused_collector
from beampipe.datasets.file_errors import BIG_FILE_VERSION, MappedFileErrors, truncated_error
from beampipe.datasets.trees import find_tree
from beampipe.datasets.urls import is_remote, local_path, show_url
from beampipe.error_kinds import classify_error
from beampipe.errors import BeampipeError, DatasetError, FileChangedError

if TYPE_CHECKING:
    from beampipe.datasets.model import FileEntry

_REMOTE_TRUST_S = 60.0
"""For how long a remote file is taken to be unchanged before it is used for another chunk.

That only saves work in vain: what was read is confirmed after every chunk.
"""
_UUID_BYTES = 16
_UUID_AT = {False: 47, True: 59}
"""Where the uuid lies in a ROOT header of 32-bit and of 64-bit positions."""


class Stamp(NamedTuple):
    """What shows that a local file is still the one that was opened."""

    device: int
    inode: int
    size_bytes: int
    mtime_ns: int


@dataclass(slots=True, eq=False)
class OpenTree:
    """A file that is open, the tree in it, and how it was when it was opened.

    Attributes
    ----------
    directory : uproot.ReadOnlyDirectory
        The file's root.
    file : FileEntry
        As it was planned.
    url : str
        The replica that was opened.
    uuid : str
        The file's uuid, checked against the plan.
    stamp : Stamp or None
        Of a local file; None for a remote one.
    checked_at : float
        When the file was last known to be the planned one [s, monotonic].
    index : FileIndex or None
        Where its columns lie, if that is known; then the tree may never have to be parsed.
    is_suspect : bool
        A read failed: the tree is opened again before it is used again.
    chunks_served : int
        Chunks read from it so far.
    confirmed_bytes : int
        What had been asked of a remote file before its header was last read again.
    cache : dict
        What is worked out once per open tree.
    lock : RLock
        Held by whoever reads of the file: two threads may want to, when one reads ahead.
    """

    directory: Any
    file: FileEntry
    url: str
    uuid: str
    stamp: Stamp | None
    checked_at: float
    index: Any = None
    is_suspect: bool = False
    chunks_served: int = 0
    confirmed_bytes: int = 0
    cache: dict[str, Any] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def tree(self) -> Any:
        """Uproot's TTree or RNTuple, parsed when it is first asked for.

        Raises
        ------
        DatasetError
            The tree cannot be read.
        FileChangedError
            ``reading-file-changed``: it has not the entries that were planned.
        """
        with self.lock:
            return self._parse()

    def _parse(self) -> Any:
        if "tree" not in self.cache:
            with MappedFileErrors(self.url), paused_collector():
                tree = find_tree(self.directory, self.file.treename, url=self.url).key.get()
            entries = int(tree.num_entries)
            if entries != self.file.entries:
                planned = self.file.entries
                raise _changed(self.url, f"its tree has {entries} entries, planned were {planned}")
            self.cache["tree"] = tree
        return self.cache["tree"]

    @property
    def by_name(self) -> Mapping[str, Any]:
        """What ``tree[name]`` gives, for the name of every branch; of an RNTuple nothing.

        Several branches may have one name. Asked for one, uproot goes through all branches of
        split objects, each time.
        """
        if "by_name" not in self.cache:
            self.cache["by_name"] = {} if is_rntuple(self.tree) else _branches_by_name(self.tree)
        found: Mapping[str, Any] = self.cache["by_name"]
        return found

    def find(self, name: str) -> Any:
        """Give a branch or field as ``tree[name]`` does, whatever the tree's size."""
        return self.by_name[name] if name in self.by_name else self.tree[name]

    @property
    def source(self) -> Any:
        """Uproot's source of the file's bytes."""
        return self.directory.file.source

    @property
    def is_local(self) -> bool:
        """Whether the file lies on a file system of this machine."""
        return self.stamp is not None

    @property
    def requested_bytes(self) -> int:
        """Bytes asked of the storage since the file was opened."""
        return int(self.source.num_requested_bytes)

    def was_rewritten(self) -> bool:
        """Tell whether the local file was changed in place.

        A file that was replaced by another of the same name (another inode) does not count: the
        open file still holds the old bytes.
        """
        if self.stamp is None:
            return False
        now = _stamp(self.url)
        return now is not None and now[:2] == self.stamp[:2] and now != self.stamp

    @property
    def header_bytes(self) -> int:
        """Length of the header up to the file's uuid [bytes]."""
        return _UUID_AT[self.directory.file.fVersion >= BIG_FILE_VERSION] + _UUID_BYTES

    def see_header(self, header: bytes, *, until: int) -> bool:
        """Take note of a header that was read after so many bytes had been asked for.

        Returns
        -------
        bool
            Whether it is that of the planned file.
        """
        is_same = header[-_UUID_BYTES:] == uuid.UUID(self.uuid).bytes
        if is_same:
            self.checked_at = time.monotonic()
            self.confirmed_bytes = max(self.confirmed_bytes, until)
        return is_same

    def confirm(self, until: int | None = None) -> None:
        """Make sure that what was read of a remote file so far is of the planned one.

        Each request goes to whatever lies under the name by then. A uuid never comes back, so a
        header that still has it speaks for everything that was read before.

        Parameters
        ----------
        until : int, optional
            What of it: the bytes that had been asked for by then; all by default.

        Raises
        ------
        FileChangedError
            ``reading-file-changed``: another file has taken the name.
        DatasetError
            The header cannot be read, so nobody knows.
        """
        if self.is_local or (until or self.requested_bytes) <= self.confirmed_bytes:
            return
        was_suspect, self.is_suspect = self.is_suspect, True
        with MappedFileErrors(self.url):
            header = bytes(self.source.chunk(0, self.header_bytes).raw_data)
        if not self.see_header(header, until=self.requested_bytes):
            raise _changed(self.url, "its header was another one after a chunk was read")
        self.is_suspect = was_suspect

    def close(self) -> None:
        """Close the file."""
        self.cache.clear()
        self.directory.file.close()


class TreePool:
    """Opens trees and keeps the last few open.

    Parameters
    ----------
    max_open : int, default 4
        Trees kept open.
    uproot_options : mapping, optional
        Passed to ``uproot.open``.
    find_index : callable, optional
        Gives the index of a file by its uuid and tree, or None.

    Notes
    -----
    Not for several threads at once; of the trees that it gives, one may be read by several that
    hold its lock.
    """

    def __init__(
        self,
        *,
        max_open: int = 4,
        uproot_options: Mapping[str, Any] | None = None,
        find_index: Callable[[str, str], Any] = lambda *_: None,
    ) -> None:
        self._max_open = max(1, max_open)
        self._find_index = find_index
        self._options = dict(uproot_options or {})
        self._open: OrderedDict[tuple[str, str], OpenTree] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    def get(self, file: FileEntry, *, avoid: frozenset[str] = frozenset()) -> OpenTree:
        """Give the tree of a planned file, opened now or before.

        Parameters
        ----------
        file : FileEntry
            The file as it was planned.
        avoid : frozenset of str, optional
            Replicas that gave trouble; they are tried last.

        Returns
        -------
        OpenTree

        Raises
        ------
        DatasetError
            When none can be opened: of the first replica whose error may pass, else of the first.
        FileChangedError
            ``reading-file-changed``: another file lies under this name than was planned.
        """
        key = (file.uuid, file.treename)
        known = self._open.get(key)
        if known is not None:
            if known.url not in avoid and self._is_still_good(known):
                self._open.move_to_end(key)
                return known
            self.discard(known)
        opened = self._open_any(file, avoid)
        self._open[key] = opened
        while len(self._open) > self._max_open:
            self._open.popitem(last=False)[1].close()
        return opened

    def can_go_ahead(self, file: FileEntry) -> bool:
        """Tell whether a file can be got while another tree of this pool is in use."""
        known = self._open.get((file.uuid, file.treename))
        return self._max_open > 1 and (known is None or self._is_still_good(known))

    def discard(self, opened: OpenTree) -> None:
        """Close a tree and forget it."""
        for key in [key for key, value in self._open.items() if value is opened]:
            del self._open[key]
        opened.close()

    def close(self) -> None:
        """Close every tree."""
        while self._open:
            self._open.popitem()[1].close()

    def _is_still_good(self, opened: OpenTree) -> bool:
        if opened.is_suspect:
            return False
        if opened.is_local:
            return _stamp(opened.url) == opened.stamp
        if time.monotonic() - opened.checked_at < _REMOTE_TRUST_S:
            return True
        with (
            suppress(DatasetError),  # opening it again tells, or finds another replica
            MappedFileErrors(opened.url),
            _open_file(opened.url, self._options) as directory,
        ):
            opened.checked_at = time.monotonic()
            return str(directory.file.uuid) == opened.uuid
        return False

    def _open_any(self, file: FileEntry, avoid: frozenset[str]) -> OpenTree:
        errors: list[BeampipeError] = []
        for url in sorted(file.urls, key=avoid.__contains__):
            try:
                return self._open_one(file, url)
            except BeampipeError as error:
                errors.append(error)
        # One that may pass says more of what to do next than one that stays.
        first = next((one for one in errors if classify_error(one).may_pass), errors[0])
        for other in errors:
            if other is not first:
                first.add_note(f"another replica: {other.message} {other.why}")
        raise first

    def _open_one(self, file: FileEntry, url: str) -> OpenTree:
        stamp = _stamp(url)
        with ExitStack() as undo, MappedFileErrors(url), paused_collector():
            directory = undo.enter_context(_open_file(url, self._options))
            found = str(directory.file.uuid)
            if found != file.uuid:
                raise _changed(url, f"its uuid is {found}, planned was {file.uuid}")
            # A size costs nothing here and a request elsewhere; there the missing basket tells.
            if stamp is not None and directory.file.fEND > stamp.size_bytes:
                raise truncated_error(url, size=stamp.size_bytes, end=directory.file.fEND)
            undo.pop_all()
            opened = OpenTree(directory, file, url, found, stamp, time.monotonic())
            undo.callback(opened.close)
            index = self._find_index(file.uuid, file.treename)
            if index is not None and index.entries == file.entries:
                opened.index = index
            else:
                _ = opened.tree  # what is wrong with it comes out here
            undo.pop_all()
        return opened


def _open_file(url: str, options: Mapping[str, Any]) -> Any:
    import uproot  # half a second, only where files are read

    # Arrays of earlier chunks must not be kept, and object caches are shared between files.
    settings: dict[str, Any] = {"array_cache": None, "object_cache": None}
    if is_remote(url):
        from beampipe.datasets.remote_source import source_of

        settings["handler"] = source_of(url)
    else:
        # uproot's usual source opens the file by name again for every read, so that a tree kept
        # open would silently go on in a file that took the name; and memory maps turn a truncated
        # file into a bus error. One descriptor held without threads is also three times faster.
        handler = uproot.source.file.MultithreadedFileSource
        settings |= {"handler": handler, "use_threads": False, "num_workers": 1}
    return uproot.open({_path(url): None}, **(settings | dict(options)))


def _path(url: str) -> str:
    return url if is_remote(url) else local_path(url, os.sep)


def _stamp(url: str) -> Stamp | None:
    if is_remote(url):
        return None
    try:
        found = Path(_path(url)).stat()
    except OSError:
        return None  # opening it says why
    return Stamp(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


def _changed(url: str, why: str) -> FileChangedError:
    return FileChangedError(
        f"{show_url(url)} is not the file that was planned.",
        why=why,
        fix="plan and run again; results of the old file's chunks stay with the old plan",
        url=show_url(url),
    )


def is_rntuple(tree: Any) -> bool:
    """Tell an RNTuple from a TTree."""
    from uproot.behaviors.RNTuple import HasFields  # heavy, and loaded already where trees are

    return isinstance(tree, HasFields)


def know_inner_fields(ntuple: Any) -> None:
    """Let each field of an RNTuple know those in it.

    Else uproot goes through all fields of the RNTuple, for each of them.
    """
    fields, inside = ntuple.all_fields, defaultdict(list)
    for number, record in enumerate(ntuple.field_records):
        if record.parent_field_id != number:
            inside[record.parent_field_id].append(fields[number])
    for number in reversed(range(len(fields))):  # the innermost first
        # As uproot has it: in place of one without a name stand those in it.
        fields[number]._fields = [
            each for one in inside[number] for each in (one.fields if one.is_anonymous else [one])
        ]


def _branches_by_name(tree: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def look_in(parent: Any) -> None:
        branches = list(parent.branches)
        for branch in branches:
            found.setdefault(branch.name, branch)
        for branch in branches:
            look_in(branch)

    look_in(tree)
    return found
