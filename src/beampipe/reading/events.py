"""NanoEvents of a chunk, as coffea's Runner builds them, with the form and the schema kept."""

from __future__ import annotations

import copy
import logging
import warnings
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import awkward as ak
from coffea.nanoevents import BaseSchema, NanoEventsFactory
from coffea.nanoevents.factory import _key_formatter
from coffea.nanoevents.mapping.uproot import TrivialUprootOpener, UprootSourceMapping
from coffea.nanoevents.schemas import EDM4HEPSchema
from coffea.nanoevents.schemas.edm4hep import podio_collection_types
from coffea.nanoevents.util import tuple_to_key

from beampipe.collector import paused_collector
from beampipe.datasets.file_errors import describe_error
from beampipe.datasets.urls import show_url
from beampipe.errors import SchemaError
from beampipe.reading.built import BuiltEvents
from beampipe.reading.faults import MappedReadErrors
from beampipe.reading.layouts import is_by_content, layout_key
from beampipe.reading.loading import ColumnLoader
from beampipe.reading.narrowing import Narrowing
from beampipe.reading.recent import RecentlyUsed
from beampipe.reading.trees import OpenTree, is_rntuple, know_inner_fields

_log = logging.getLogger(__name__)
_KEPT_LAYOUTS = 8
_KEPT_SCHEMAS = 16
# What schemas raise, on purpose or by assuming, over columns that are not theirs.
_MISFITS = (AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


class ChunkMapping(UprootSourceMapping):  # type: ignore[misc]  # coffea ships no types
    """coffea's own mapping, whose columns come through a `ColumnLoader`."""

    def __init__(self, loader: ColumnLoader, opened: OpenTree) -> None:
        super().__init__(
            TrivialUprootOpener({opened.uuid: opened.url}),
            loader.start,
            loader.stop,
            cache={},
            file_handle=opened.directory.file,
            use_ak_forth=True,
            virtual=True,
        )
        self._loader = loader
        self.used: set[str] = set()

    def __deepcopy__(self, memo: dict[int, Any]) -> ChunkMapping:
        """Copies of events load their columns through the same loader, of which there is one."""
        return self

    def interpret_key(self, key: str) -> Any:
        """Note which node of the form is loaded: coffea asks this first."""
        found = super().interpret_key(key)
        self.used.add(",".join(found[-1]))
        return found

    def _column_source(self, uuid: str, path_in_source: str) -> None:
        """Hold no tree here: what outlives its chunk must not keep a file open."""

    def get_column_handle(self, columnsource: None, name: str, allow_missing: Any) -> str | None:
        """Give the name only: the branch is looked up where failures are told apart."""
        del columnsource
        return None if allow_missing and not self._loader.has(name) else name

    def extract_column(
        self,
        columnhandle: str | None,
        start: int,
        stop: int,
        allow_missing: Any,
        use_ak_forth: Any = None,
    ) -> Any:
        """Give a column of the chunk; coffea's own code finishes what uproot reads."""
        extract = partial(
            super().extract_column,
            start=start,
            stop=stop,
            allow_missing=allow_missing,
            use_ak_forth=use_ak_forth,
        )
        if columnhandle is None:
            return extract(None)

        def finish(array: Any) -> Any:
            # Handed over as if coffea had preloaded it, so that it gets coffea's own treatment.
            self.preloaded_arrays = {columnhandle: _Whole(array)}
            return trim_lists(extract(_Named(columnhandle)))

        return self._loader.load(columnhandle, finish=finish)


class _Named(NamedTuple):
    """As much of a branch as coffea asks of one that was preloaded."""

    name: str


class _Whole:
    """An array whose every slice is all of it: coffea slices by the file's entry numbers."""

    def __init__(self, array: Any) -> None:
        self._array = array

    def __getitem__(self, entries: slice) -> Any:
        return self._array


def trim_lists(array: Any) -> Any:
    """Cut off what lies behind the end of an array's last list.

    uproot leaves the rest of the cluster there when it reads a part of one from an RNTuple, and
    coffea's kernels for ``GenPart.distinctParent`` and its like then stumble over it.

    Parameters
    ----------
    array : awkward.Array
        A column as coffea's mapping gives it.

    Returns
    -------
    awkward.Array
        Of the same values.
    """
    layout = array.layout
    trimmed = _trim(layout)
    return array if trimmed is layout else ak.Array(trimmed)


def _trim(layout: Any) -> Any:
    if not isinstance(layout, ak.contents.ListOffsetArray):
        return layout
    end = int(layout.offsets[-1])
    whole = layout.content if layout.content.length == end else layout.content[:end]
    content = _trim(whole)
    return layout if content is layout.content else layout.copy(content=content)


class _ChunkFactory(NanoEventsFactory):  # type: ignore[misc]  # coffea ships no types
    """coffea's own factory, whose events may be narrow; cross-references ask it for them again."""

    def __init__(
        self,
        schema: BaseSchema,
        mapping: ChunkMapping,
        key: str,
        *,
        narrowing: Narrowing,
        is_narrow: bool,
    ) -> None:
        super().__init__(schema, mapping, key, mode="virtual")
        self._narrowing = narrowing
        self._is_narrow = is_narrow
        self._kept: Callable[[], Any] = lambda: None

    def __deepcopy__(self, memo: dict[int, Any]) -> _ChunkFactory:
        """Copies of events are of the same chunk."""
        return self

    def events(self) -> Any:
        """Give the events, as coffea's factory does."""
        events = self._kept()
        if events is None:
            events = self._make()
            # Arrays hold on to this factory, so it must not hold on to them.
            self._kept = weakref.ref(events)
        return events

    def _make(self) -> Any:
        form, narrowing = self._schema.form, self._narrowing
        buffer_key = partial(_key_formatter, self._partition_key)
        layout = ak.from_buffers(
            narrowing.narrow_form() if self._is_narrow else narrowing.form,
            len(self),
            self._mapping,
            buffer_key=buffer_key,
            highlevel=False,
        )
        if self._is_narrow:
            layout = narrowing.fill_up(layout)
        layout = layout.copy(parameters=form["parameters"])  # with this chunk's metadata
        attrs = {"@events_factory": self, "@form": form, "@buffer_key": buffer_key}
        return ak.Array(layout, behavior=self._schema.behavior(), attrs=attrs)


class _KeptSchema(NamedTuple):
    """A schema of one layout and dataset, and what is known of its use.

    `added` is what it added to the metadata (NanoAOD's version).
    """

    schema: BaseSchema
    added: dict[str, Any]
    narrowing: Narrowing


FORMS: RecentlyUsed[tuple[str, bool], dict[str, Any]] = RecentlyUsed(_KEPT_LAYOUTS, is_shared=True)
"""What coffea makes of the columns of a layout: for all threads, and for one run after the other.

It takes coffea a second for 1,500 branches, and six for as many fields of an RNTuple.
"""


class NanoEventsBuilder:
    """Builds NanoEvents of one schema, whose parts are kept per layout of columns.

    Parameters
    ----------
    schema : type
        A class deriving from coffea's ``BaseSchema``.
    """

    def __init__(self, schema: type) -> None:
        self._schema = schema
        self._forms: RecentlyUsed[tuple[str, bool], dict[str, Any]] = RecentlyUsed(_KEPT_LAYOUTS)
        self._schemas: RecentlyUsed[tuple[str, Any], _KeptSchema] = RecentlyUsed(_KEPT_SCHEMAS)

    def build(
        self,
        opened: OpenTree,
        loader: ColumnLoader,
        metadata: Mapping[str, Any],
        *,
        whole: bool = False,
    ) -> BuiltEvents:
        """Give the events of a chunk.

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
            NanoEvents, whose columns load when they are used.

        Raises
        ------
        SchemaError
            ``reading-schema``: the schema does not fit the file's columns.
        ChunkUnreadableError
            ``reading-chunk-unreadable``: the tree's own description cannot be read.
        """
        # A schema may look at the dataset's name and metadata, so one is kept per dataset.
        key = (layout_key(opened), metadata.get("dataset"))
        kept = self._schemas.get(key, lambda: self._make_schema(opened, metadata))
        mapping = ChunkMapping(loader, opened)
        partition = (opened.uuid, opened.file.treename, f"{loader.start}-{loader.stop}")
        is_narrow = kept.narrowing.is_ready and not whole
        factory = _ChunkFactory(
            _with(kept, metadata),
            mapping,
            tuple_to_key(partition),
            narrowing=kept.narrowing,
            is_narrow=is_narrow,
        )
        with paused_collector():
            events = factory.events()
        return BuiltEvents(events, kept.narrowing, mapping.used, is_narrow=is_narrow)

    def _make_schema(self, opened: OpenTree, metadata: Mapping[str, Any]) -> _KeptSchema:
        key = (layout_key(opened), issubclass(self._schema, EDM4HEPSchema))
        forms = FORMS if is_by_content(key[0]) else self._forms
        form = forms.get(key, lambda: self._base_form(opened))
        with _quietly(f"{self._schema.__name__} on {opened.url}"), paused_collector():
            form = copy.deepcopy(form)
            form["parameters"]["metadata"] = dict(metadata)
            try:
                schema = self._schema(form)
            except _MISFITS as error:
                raise self._misfit(opened, error) from error
        told = schema.form["parameters"].get("metadata", {})
        added = {key: told[key] for key in told if key not in metadata}
        return _KeptSchema(schema, added, Narrowing(ak.forms.from_dict(schema.form)))

    def _base_form(self, opened: OpenTree) -> dict[str, Any]:
        tree, whole = opened.tree, (0, opened.file.entries)
        with (
            _quietly(f"columns of {opened.url}"),
            opened.lock,
            paused_collector(),
            MappedReadErrors(opened, entries=whole),
        ):
            if is_rntuple(tree):
                know_inner_fields(tree)
            form: dict[str, Any] = UprootSourceMapping._extract_base_form(tree)  # noqa: SLF001
            form["typenames"] = tree.typenames()
            if issubclass(self._schema, EDM4HEPSchema):
                form["podio_collection_types"] = podio_collection_types(tree)
        return form

    def _misfit(self, opened: OpenTree, error: Exception) -> SchemaError:
        url = show_url(opened.url)
        return SchemaError(
            f"{self._schema.__name__} does not fit the columns of {url}.",
            why=describe_error(error),
            fix="use the schema that the file was made for, 'BaseSchema' or 'none'",
            url=url,
        )


def _with(kept: _KeptSchema, metadata: Mapping[str, Any]) -> BaseSchema:
    """Give the kept schema with this chunk's metadata in its form."""
    about = {"metadata": {**metadata, **kept.added}}
    schema = copy.copy(kept.schema)
    # The form itself is shared by all chunks; nothing but its outermost parameters is theirs.
    schema._form = schema.form | {"parameters": schema.form["parameters"] | about}  # noqa: SLF001
    return schema


@contextmanager
def _quietly(about: str) -> Iterator[None]:
    """Log the warnings of coffea's schemas: the same ones for every chunk, in every worker.

    A processor that makes warnings errors must not stumble over them either.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in caught:
        _log.info("%s: %s", about, warning.message)
