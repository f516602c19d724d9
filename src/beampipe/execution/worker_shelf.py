"""The indexes that a worker process has at hand, whatever run they came with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING

from beampipe.execution.partials import Partial, Summary, summarize_partial

if TYPE_CHECKING:
    from beampipe.reading.index.shelf import Made, Place, Shelf
    from beampipe.reading.index.store import StorePlace


@dataclass(slots=True)
class _Surroundings:
    """Which store was looked for last, and whether it was there."""

    place: StorePlace | None = None
    sees_store: bool | None = None


_LOCK = Lock()
_SURROUNDINGS = _Surroundings()


@cache
def worker_shelf() -> Shelf:
    """Give the shelf of this process; one, for all of its threads and runs."""
    from beampipe.reading.index.encoding import decode_index, encode_index
    from beampipe.reading.index.shelf import Shelf

    return Shelf(encode_index, decode_index)


def lay_out_indexes(store: StorePlace | None, sent: Mapping[Place, bytes] | None = None) -> Shelf:
    """Get the shelf ready for a bundle.

    Parameters
    ----------
    store : StorePlace or None
        Where the driver keeps indexes; read from if it can be seen from here.
    sent : mapping, optional
        Encoded indexes that came with the bundle.
    """
    shelf = worker_shelf()
    with _LOCK:
        if store != _SURROUNDINGS.place:
            _look_for(store, shelf)
    if sent:
        shelf.offer(sent)
    return shelf


def _look_for(place: StorePlace | None, shelf: Shelf) -> None:
    from beampipe.reading.index.store import open_store

    store = None if place is None else open_store(place)
    _SURROUNDINGS.place = place
    _SURROUNDINGS.sees_store = None if place is None else store is not None
    shelf.look_in(None if store is None else store.read)


def count_indexes(partial: Partial) -> Partial:
    """Add to a bundle's metrics where the indexes came from that it used."""
    return replace(partial, metrics={**partial.metrics, **worker_shelf().take_counts()})


def take_new_indexes() -> dict[Place, Made]:
    """Give the indexes that were made here since the last call (what a Dask task calls)."""
    return worker_shelf().take_new()


def tell_bundle(partial: Partial) -> tuple[Summary, bool]:
    """Summarize a bundle's partial, and say whether there are indexes that were made here."""
    summary = replace(summarize_partial(partial), sees_store=_SURROUNDINGS.sees_store)
    return summary, worker_shelf().has_new


def summarize_bundle(partial: Partial) -> Summary:
    """Summarize a bundle's partial, and give beside it the indexes that were made here.

    They are part of no partial: no merge carries them along, and where a summary is lost they are
    made again by whoever needs them.
    """
    summary, _ = tell_bundle(partial)
    return replace(summary, indexes=take_new_indexes())
