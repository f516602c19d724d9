"""Where the driver keeps the indexes of files: what workers lack goes out, what they made comes in.

Most workers see the folder of the driver and read indexes there. To others they are sent beside
their bundles. The scheduler keeps all that is sent until the bundle's result is committed, so
only so much is out at a time; whoever gets no index makes one.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

from beampipe.execution.bundles import Bundle
from beampipe.execution.partials import Summary
from beampipe.reading.index.shelf import Made, Place
from beampipe.reading.index.store import IndexStore, StorePlace

_MOST_OUT_BYTES = 128_000_000
_MOST_SENT_BYTES = 1_000_000
_MOST_AT_HAND_BYTES = 16_000_000
_MOST_UNWRITTEN_BYTES = 16_000_000


class IndexDesk:
    """Lends the indexes of a run's files to its workers, and takes in new ones.

    Nothing here can make a run fail or change its result: an index is a hint, and is checked by
    whoever reads with it.

    Parameters
    ----------
    store : IndexStore
        Where they are kept.
    """

    def __init__(self, store: IndexStore) -> None:
        self._store = store
        self._is_seen = True  # by workers, as long as none of them says otherwise
        self._at_hand: OrderedDict[Place, bytes] = OrderedDict()
        self._at_hand_bytes = 0
        self._out: dict[str, int] = {}
        self._out_bytes = 0
        self._n_sent: Counter[Place] = Counter()
        self._writer: ThreadPoolExecutor | None = None
        self._unwritten_bytes = 0
        self._lock = Lock()

    @property
    def place(self) -> StorePlace | None:
        """Where workers may look themselves; None where nothing is kept."""
        return self._store.place()

    def lend(self, key: str, bundle: Bundle, *, n_workers: int) -> dict[Place, bytes]:
        """Give what is to be sent beside a bundle.

        Parameters
        ----------
        key : str
            Names the bundle until `end`.
        bundle : Bundle
            What is sent.
        n_workers : int
            An index is sent no more often than there are workers: by then all may have it.

        Returns
        -------
        dict of Place to bytes
            Encoded indexes; 1 MB at most, unless the first is larger.
        """
        if self._is_seen or self._out_bytes >= _MOST_OUT_BYTES:
            return {}
        sent: dict[Place, bytes] = {}
        size = 0
        for place in dict.fromkeys(
            Place(chunk.plan.file.uuid, chunk.plan.file.treename) for chunk in bundle.chunks
        ):
            if self._n_sent[place] >= max(n_workers, 1):
                continue
            data = self._find(place)
            if data is None or (sent and size + len(data) > _MOST_SENT_BYTES):
                continue
            sent[place] = data
            size += len(data)
            self._n_sent[place] += 1
        if sent:
            self._out[key] = size
            self._out_bytes += size
        return sent

    def end(self, keys: Iterable[str]) -> None:
        """Bundles are over: what was sent with them takes no room on the scheduler any more."""
        for key in keys:
            self._out_bytes -= self._out.pop(key, 0)

    def take(self, summary: Summary) -> None:
        """Keep what a worker has made, and learn whether it sees the store."""
        if summary.sees_store is False:
            self._is_seen = False
        self.keep(summary.indexes)

    def keep(self, indexes: Mapping[Place, Made]) -> None:
        """Keep what a worker has made."""
        for uuid_and_tree, made in indexes.items():
            place = Place(*uuid_and_tree)  # keys come through Dask as plain tuples
            self._keep_at_hand(place, made.data)
            self._write_later(place, made)

    def close(self) -> None:
        """Write what is left to be written."""
        if self._writer is not None:
            self._writer.shutdown()

    def _find(self, place: Place) -> bytes | None:
        data = self._at_hand.get(place)
        if data is not None:
            self._at_hand.move_to_end(place)
            return data
        made = self._store.get(place)
        if made is None:
            return None
        self._keep_at_hand(place, made.data)
        return made.data

    def _keep_at_hand(self, place: Place, data: bytes) -> None:
        self._at_hand_bytes += len(data) - len(self._at_hand.pop(place, b""))
        self._at_hand[place] = data
        while self._at_hand_bytes > _MOST_AT_HAND_BYTES:
            _, old = self._at_hand.popitem(last=False)
            self._at_hand_bytes -= len(old)

    def _write_later(self, place: Place, made: Made) -> None:
        """A file server may take long, and the driver has no time; what is too much is lost."""
        size = len(made.data)
        with self._lock:
            if self._unwritten_bytes and self._unwritten_bytes + size > _MOST_UNWRITTEN_BYTES:
                return
            self._unwritten_bytes += size
        if self._writer is None:
            self._writer = ThreadPoolExecutor(1, thread_name_prefix="beampipe-indexes")
        self._writer.submit(self._write, place, made)

    def _write(self, place: Place, made: Made) -> None:
        try:
            self._store.put(place, made)
        finally:
            with self._lock:
                self._unwritten_bytes -= len(made.data)


def lent_with(
    desk: IndexDesk | None, key: str, bundle: Bundle, *, n_workers: int
) -> Mapping[Place, bytes]:
    """Give what is to be sent beside a bundle; nothing where nobody keeps indexes."""
    return {} if desk is None else desk.lend(key, bundle, n_workers=n_workers)
