"""The ledger: numbered, immutable segments, each claimed before it is written.

The claim on the next segment is the token of the driver that holds the run. A driver claims
its first segment when it starts and the next one after every commit, so a second driver (or
one that was stopped and wakes up) meets a claim that exists, and stops. A segment whose
driver was overtaken is marked void by the one that overtook it, and is never counted. Marks
are never taken away.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from beampipe.errors import RunStorageError
from beampipe.execution.claims import (
    claim_path,
    last_claim,
    list_claims,
    may_count,
    numbers_among,
    read_claims,
    void_path,
)
from beampipe.execution.lease import Lease, check_lease, held_by, read_object
from beampipe.execution.partials import Partial
from beampipe.execution.run_directory import RunDirectory
from beampipe.execution.segments import Segment, fill_segment, read_segment
from beampipe.execution.storage import (
    Syncing,
    create_exclusive,
    dump_sealed,
    hidden,
    list_folder,
    open_hidden,
    publish,
    storage_errors,
    sync_directory,
)
from beampipe.process_identity import who_am_i

_OVERTAKEN = "it claimed the next segment first"


def segment_name(number: int) -> str:
    """The name of a segment file."""
    return f"{number:06d}.zip"


def read_segments(directory: RunDirectory, run_id: str) -> Iterator[Segment]:
    """Go through the segments that count, in their order.

    Torn, foreign, unclaimed and void ones are passed over.

    Raises
    ------
    RunStorageError
        ``run-storage``: they cannot be read now, so nobody can say what counts.
    """
    # In this order: a mark is made before anything is committed in place of what it voids.
    written = numbers_among(list_folder(directory.segments), ".zip")
    claimed, void = list_claims(directory)
    for number in sorted(set(written).intersection(claimed) - void):
        segment = read_segment_if_whole(directory, run_id, number)
        if segment is not None:
            yield segment


def read_segment_if_whole(directory: RunDirectory, run_id: str, number: int) -> Segment | None:
    """The segment of this number if it is there and whole."""
    path = directory.segments / segment_name(number)
    segment = read_segment(path, run_id=run_id) if path.exists() else None
    return segment if segment is not None and segment.number == number else None


@dataclass(slots=True)
class Ledger:
    """The right to append to one run; there is one holder at a time."""

    directory: RunDirectory
    run_id: str
    driver: str
    _lease: Lease
    _next: int = 0
    _is_used: bool = False
    _known: list[Segment] | None = None

    @classmethod
    def take(cls, directory: RunDirectory, *, run_id: str, driver: str) -> Ledger:
        """Become the run's driver.

        What is to be done may be found out only afterwards (see `segments`): until now others
        could commit.

        Raises
        ------
        RunHeldError
            ``run-held``: another driver is alive, or was quicker.
        RunStorageError
            ``run-storage``: the directory cannot be written.
        """
        check_lease(directory, driver)
        ledger = cls(directory, run_id, driver, Lease(directory, driver))
        # Before the claim: a driver that takes over after this one may have begun some, too.
        left_over = _list_hidden(directory.segments)
        ledger._claim(last_claim(directory) + 1)
        # From here on the former driver, if it lives, cannot commit another segment. What it
        # may have been writing counts if it is there now, and never if it is not.
        ledger._known = ledger._settle(ledger._next)
        for path in left_over:
            with contextlib.suppress(OSError):
                path.unlink()
        ledger.heartbeat()
        return ledger

    def _settle(self, own: int) -> list[Segment]:
        """Decide for good which of the segments before one's own count."""
        # A former driver that was killed may have left names that no power cut may take back
        # once they count.
        with storage_errors(self.directory.segments):
            sync_directory(self.directory.segments)
        claimed, void = list_claims(self.directory)
        claims = read_claims(self.directory, [number for number in claimed if number <= own])
        segments, is_marked = [], False
        for number in claims.keys() - void - {own}:
            segment = None
            if may_count(number, claims, own=own):
                segment = read_segment_if_whole(self.directory, self.run_id, number)
            if segment is not None:
                segments.append(segment)
                continue
            mark = dump_sealed({"by": self.driver, **who_am_i()})
            is_marked |= create_exclusive(void_path(self.directory, number), mark, sync=False)
        if is_marked:
            with storage_errors(self.directory.claims):
                sync_directory(self.directory.claims)
        return sorted(segments, key=lambda segment: segment.number)

    def segments(self) -> list[Segment]:
        """All that counts: what was there and whole when this driver came, and what it committed.

        Nothing is read again, except after a commit that failed on the way.
        """
        if self._known is None:
            self._known = list(read_segments(self.directory, self.run_id))
        return list(self._known)

    def commit(self, partial: Partial) -> int:
        """Write one segment, then claim the next.

        Returns
        -------
        int
            The number of the segment.

        Raises
        ------
        RunHeldError, RunStorageError
            As `commit_all`.
        """
        (segment,) = self.commit_all([partial])
        return segment.number

    def adopt(self, segment: Segment) -> int:
        """Take a segment of another run into this one, with its value as it lies there.

        The value is copied undecoded and its checksums are held against the bytes on the way. The
        manifest says under ``origin`` where it comes from. What failed there is left out: it
        is to be tried again.

        Returns
        -------
        int
            The number of the segment in this run.

        Raises
        ------
        RunHeldError, RunStorageError
            As `commit_all`.
        LedgerError
            ``run-ledger``: the segment is not whole any more, or holds no events.
        TrustError
            ``run-trust``: others may write to it. Nothing of theirs gets into a run that is
            the user's own, where pickles are loaded unasked.
        """
        (adopted,) = self.commit_all([segment])
        return adopted.number

    def commit_all(self, entries: Iterable[Partial | Segment]) -> list[Segment]:
        """Write several segments, then claim the next.

        Each is a commit of its own, that counts or does not, and together they cost little more
        than one: their numbers are claimed before the first one gets its name, and folders are
        synced once. Entries are asked for one by one, and let go as soon as they are written.

        Whatever goes wrong, an entry that was given must not be given again: it may be there.

        Parameters
        ----------
        entries : iterable of Partial or Segment
            Values to be written, and segments of other runs (see `adopt`).

        Returns
        -------
        list of Segment
            In the order of the entries.

        Raises
        ------
        RunHeldError
            ``run-held``: another driver has taken the run over; this one must stop.
        RunStorageError
            ``run-storage``: the disk is full, or the like.
        """
        if self._is_used:  # the last commit failed on the way
            self._claim(self._next + 1)
        try:
            with contextlib.ExitStack() as unnamed:
                written = self._write_hidden(entries, unnamed)
                if not written:
                    return []
                # Whatever happens now, nothing is ever written under these numbers again.
                known, self._known, self._is_used = self._known, None, True
                last = written[-1][0].number
                self._claim_up_to(last)
                for segment, temporary in written:
                    publish(temporary, segment.path)
                with storage_errors(self.directory.segments):
                    sync_directory(self.directory.segments)
        except RunStorageError:
            # One whose files were swept away by its successor hears of that.
            with contextlib.suppress(RunStorageError):
                self.confirm()
            raise
        self._claim(last + 1)
        segments = [segment for segment, _ in written]
        self._known = None if known is None else [*known, *segments]
        self.heartbeat()
        return segments

    def _write_hidden(
        self, entries: Iterable[Partial | Segment], unnamed: contextlib.ExitStack
    ) -> list[tuple[Segment, Path]]:
        """Write segments that have no names yet; they go away if `unnamed` is left by an error."""
        written: list[tuple[Segment, Path]] = []
        syncing = Syncing()
        unnamed.callback(syncing.close)
        for number, entry in enumerate(entries, start=self._next):
            temporary = unnamed.enter_context(hidden(self.directory.segments))
            path = self.directory.segments / segment_name(number)
            with open_hidden(temporary, path, later=syncing) as stream:
                segment = fill_segment(stream, entry, path=path, run_id=self.run_id, number=number)
            written.append((segment, temporary))
            self.heartbeat()
        syncing.finish()
        return written

    def _claim(self, number: int) -> None:
        self._claim_exclusively(number, {})
        self._next, self._is_used = number, False

    def _claim_up_to(self, last: int) -> None:
        """Claim the numbers of a commit after its first, before any of its segments has a name."""
        first = self._next
        for number in range(first + 1, last + 1):
            self._claim_exclusively(number, {"first": first, "last": last}, sync=False)
            self._next = number
        if last > first:
            with storage_errors(self.directory.claims):
                sync_directory(self.directory.claims)

    def _claim_exclusively(self, number: int, more: dict[str, int], *, sync: bool = True) -> None:
        path = claim_path(self.directory, number)
        claim = {**who_am_i(), "driver": self.driver, "time": time.time(), **more}
        is_new = create_exclusive(path, dump_sealed(claim), sync=sync)
        # One's own claim is met again when a commit was interrupted right after it.
        if not is_new and read_object(path).get("driver") != self.driver:
            raise held_by(path, _OVERTAKEN)

    def confirm(self) -> None:
        """Make sure that nobody has taken the run over; one with nothing to commit has not heard.

        Raises
        ------
        RunHeldError
            ``run-held``: another driver has; how the run ends is for that one to tell.
        """
        path, is_named = None, False
        for number in range(self._next + 1, last_claim(self.directory) + 1):
            driver = read_object(claim_path(self.directory, number)).get("driver", "")
            if driver != self.driver and (driver or not is_named):
                path, is_named = claim_path(self.directory, number), bool(driver)
        # One without a name may be its own, of a commit that was interrupted or met a full disk.
        if path is not None and (is_named or not self._is_used):
            raise held_by(path, _OVERTAKEN)

    def heartbeat(self) -> None:
        """Say that this driver lives; at most every few seconds."""
        self._lease.heartbeat()

    def release(self) -> None:
        """Let the next driver in without a wait."""
        self._lease.release()


def _list_hidden(folder: Path) -> list[Path]:
    """What drivers that were killed, or are overtaken soon, have begun to write."""
    names = list_folder(folder)
    return [folder / name for name in names if name.startswith(".") and name.endswith(".tmp")]
