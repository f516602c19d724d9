"""A chunk as a plain record of its branches, each loaded when it is first used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import awkward as ak

from beampipe.collector import paused_collector
from beampipe.reading.built import BuiltEvents
from beampipe.reading.faults import MappedReadErrors
from beampipe.reading.layouts import layout_key
from beampipe.reading.loading import ColumnLoader, column_form
from beampipe.reading.narrowing import Narrowing, paths_by_field
from beampipe.reading.recent import RecentlyUsed
from beampipe.reading.trees import OpenTree, is_rntuple, know_inner_fields

_RECORD = "BeampipeBranches"
_KEPT_LAYOUTS = 8
_KEPT_NARROWINGS = 16


class BranchArray(ak.Array):  # type: ignore[misc]  # awkward ships no types
    """Branches of one chunk, with the metadata of its dataset."""

    @property
    def metadata(self) -> dict[str, Any]:
        """Same as coffea's ``events.metadata``."""
        found: dict[str, Any] = self.layout.purelist_parameter("metadata")
        return found


@dataclass(frozen=True, slots=True)
class _Layout:
    """The form of a record of branches, and the buffers of each: key, number, type."""

    form: Any
    buffers: Mapping[str, tuple[tuple[str, int, Any], ...]]


class BranchesBuilder:
    """Builds plain records of branches; forms are kept per layout of columns."""

    def __init__(self) -> None:
        self._kept: RecentlyUsed[str, _Layout] = RecentlyUsed(_KEPT_LAYOUTS)
        self._narrowings: RecentlyUsed[tuple[str, Any], Narrowing] = RecentlyUsed(_KEPT_NARROWINGS)

    def build(
        self,
        opened: OpenTree,
        loader: ColumnLoader,
        metadata: Mapping[str, Any],
        *,
        whole: bool = False,
    ) -> BuiltEvents:
        """Give the branches of a chunk.

        Parameters
        ----------
        opened : OpenTree
            The chunk's tree.
        loader : ColumnLoader
            The chunk's columns.
        metadata : mapping
            What ``events.metadata`` is to hold.
        whole : bool, default False
            Whether to leave nothing out; the first chunk of a layout and dataset always is whole.

        Returns
        -------
        BuiltEvents
            Fields are named as in uproot's ``tree.arrays()``; branches that uproot cannot read
            as arrays are left out.

        Raises
        ------
        ChunkUnreadableError
            ``reading-chunk-unreadable``: the tree's own description cannot be read.
        """
        key = layout_key(opened)
        layout = self._kept.get(key, lambda: self._make(opened, loader))
        narrowing = self._narrowings.get(
            (key, metadata.get("dataset")),
            lambda: Narrowing(layout.form, paths_by_field(layout.form)),
        )
        is_narrow = narrowing.is_ready and not whole
        used: set[str] = set()
        with paused_collector():
            form = narrowing.narrow_form() if is_narrow else layout.form
            container = {
                key: partial(_load_buffer, loader, name, index, dtype, used=used)
                for name in form.fields
                for key, index, dtype in layout.buffers[name]
            }
            length = loader.stop - loader.start
            record = ak.from_buffers(form, length, container, highlevel=False)
            if is_narrow:
                record = narrowing.fill_up(record)
        parameters = {"__record__": _RECORD, "metadata": dict(metadata)}
        events = ak.Array(
            record.copy(parameters=parameters), behavior={("*", _RECORD): BranchArray}
        )
        return BuiltEvents(events, narrowing, used, is_narrow=is_narrow)

    def _make(self, opened: OpenTree, loader: ColumnLoader) -> _Layout:
        entries = (loader.start, loader.stop)
        with opened.lock, MappedReadErrors(opened, entries=entries), paused_collector():
            return _make_layout(opened)


def _make_layout(opened: OpenTree) -> _Layout:
    form = ak.forms.form.form_with_unique_keys(_record_form(opened), ("branches",))
    buffers = {
        name: tuple(
            (key, index, dtype)
            for index, (key, dtype) in enumerate(content.expected_from_buffers().items())
        )
        for name, content in zip(form.fields, form.contents, strict=True)
    }
    return _Layout(form, buffers)


def _record_form(opened: OpenTree) -> Any:
    tree = opened.tree
    if is_rntuple(tree):
        know_inner_fields(tree)
        return tree.arrays(virtual=True, array_cache=None).layout.form
    columns = [branch for branch in tree.itervalues() if opened.by_name[branch.name] is branch]
    found = {branch.name: _form_of(branch) for branch in columns}
    forms = {name: form for name, form in found.items() if form is not None}
    return ak.forms.RecordForm(list(forms.values()), list(forms))


def _form_of(branch: Any) -> Any | None:
    """Give the form of a branch; None for one that is no array, or a group of others."""
    from uproot.deserialization import DeserializationError
    from uproot.interpretation.grouped import AsGrouped

    try:
        return None if isinstance(branch.interpretation, AsGrouped) else column_form(branch)
    except (OSError, MemoryError, DeserializationError):  # of the file or of this machine
        raise
    except Exception:  # noqa: BLE001  # a type that uproot does not know, or stumbles over
        return None


def _load_buffer(loader: ColumnLoader, name: str, index: int, dtype: Any, *, used: set[str]) -> Any:
    """Give one buffer of a branch; the first to be asked for loads the whole branch."""
    used.add(name)
    form, _, buffers = ak.to_buffers(loader.load(name))
    key = list(form.expected_from_buffers())[index]
    return buffers[key].astype(dtype, copy=False)
