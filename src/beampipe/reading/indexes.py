"""Where a reader gets the indexes of its files, and what it does where there is none."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

from beampipe.errors import ChunkUnreadableError
from beampipe.reading.faults import MappedReadErrors
from beampipe.reading.layouts import is_by_content, layout_key
from beampipe.reading.recent import RecentlyUsed

if TYPE_CHECKING:
    from beampipe.reading.index.model import FileIndex
    from beampipe.reading.index.shelf import Shelf
    from beampipe.reading.index.template import LayoutTemplate
    from beampipe.reading.indexed import IndexedColumns
    from beampipe.reading.trees import OpenTree

_KEPT_TEMPLATES = 8
_CANNOT = "cannot be indexed"  # in the cache of an open tree


TEMPLATES: RecentlyUsed[str, LayoutTemplate] = RecentlyUsed(_KEPT_TEMPLATES, is_shared=True)
"""For all threads, and for one run after the other."""


class Indexes:
    """Finds the indexes of files, makes those that are missing, and gives what reads with them.

    Parameters
    ----------
    shelf : Shelf, optional
        Where known ones are and new ones are put; one of its own by default.
    """

    def __init__(self, shelf: Shelf | None = None) -> None:
        self._shelf = shelf or _own_shelf()
        self._templates: RecentlyUsed[str, LayoutTemplate] = RecentlyUsed(_KEPT_TEMPLATES)

    def find(self, uuid: str, treename: str) -> FileIndex | None:
        """Give the index of a file, if it is known."""
        found: FileIndex | None = self._shelf.get(uuid, treename)
        return found

    def make(self, opened: OpenTree) -> None:
        """Make the index of an open tree that has none, and give it away for later runs.

        Where that is not possible it is tried once for as long as the tree is open.
        """
        if opened.index is not None or _CANNOT in opened.cache:
            return
        from beampipe.reading.index.making import make_index

        began, bytes_before = time.perf_counter(), opened.requested_bytes
        was_suspect = opened.is_suspect
        try:
            with MappedReadErrors(opened, entries=(0, opened.file.entries)):
                index = make_index(opened, treename=opened.file.treename)
        except ChunkUnreadableError:
            opened.is_suspect = was_suspect  # whoever needs what is broken will say so
            opened.cache[_CANNOT] = True
            return
        opened.index = index
        self._shelf.put(
            index,
            seconds=time.perf_counter() - began,
            n_bytes=opened.requested_bytes - bytes_before,
        )

    def forget(self, opened: OpenTree) -> None:
        """Throw away an index that told of bytes which are not there."""
        self._shelf.forget(opened.uuid, opened.file.treename)
        opened.index = None

    def columns(self, opened: OpenTree, entries: tuple[int, int]) -> IndexedColumns | None:
        """Give what reads the columns of an entry range; None for a file without index."""
        if opened.index is None:
            return None
        from beampipe.reading.index.template import LayoutTemplate
        from beampipe.reading.indexed import IndexedColumns

        key = layout_key(opened)
        templates = TEMPLATES if is_by_content(key) else self._templates
        template = templates.get(key, lambda: LayoutTemplate(opened))
        forget = partial(self.forget, opened)
        return IndexedColumns(opened, opened.index, template, entries, on_wrong=forget)


def _own_shelf() -> Any:
    from beampipe.reading.index.encoding import decode_index, encode_index
    from beampipe.reading.index.shelf import Shelf

    return Shelf(encode_index, decode_index)
