"""What goes wrong while bytes become arrays, told apart from what goes wrong in a processor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from beampipe.datasets.file_errors import describe_error, find_refusal
from beampipe.datasets.urls import show_url
from beampipe.error_kinds import classify_error
from beampipe.errors import BeampipeError, ChunkUnreadableError, ReadingError

if TYPE_CHECKING:
    from types import TracebackType

    from beampipe.reading.trees import OpenTree


class MappedReadErrors:
    """Context in which foreign errors become `ChunkUnreadableError`.

    Broken bytes end up as whatever the first line to stumble over them raises, in uproot, a codec
    or a storage plugin, with no common base but `Exception`. So it may only be used around code
    in which nothing of the user's runs. Memory errors pass: they tell of this machine.

    Parameters
    ----------
    opened : OpenTree
        The tree that is read; it is marked as suspect.
    entries : (int, int)
        The chunk's entry range.
    column : str, optional
        The branch that is read.
    """

    def __init__(
        self, opened: OpenTree, *, entries: tuple[int, int], column: str | None = None
    ) -> None:
        self.opened = opened
        self.entries = entries
        self.column = column

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, Exception) and not isinstance(error, BeampipeError | MemoryError):
            self.opened.is_suspect = True
            raise self._explain(error) from error

    def _explain(self, error: Exception) -> ChunkUnreadableError:
        (start, stop), url = self.entries, show_url(self.opened.url)
        what = f"column {self.column!r}" if self.column else "the description of the columns"
        explained = ChunkUnreadableError(
            f"Cannot read {what} for entries {start} to {stop} of {url}.",
            why=describe_error(error),
            url=url,
            column=self.column,
            start=start,
            stop=stop,
        )
        explained.__cause__ = error
        refusal = find_refusal(self.opened.url, error)
        if refusal is not None:
            explained.why = f"{refusal.why}; {explained.why}"
        explained.fix = refusal.fix if refusal is not None else classify_error(explained).fix
        return explained


def find_read_error(error: BaseException) -> ReadingError | None:
    """Find the reading error behind what came out of a processor.

    Columns load inside the processor, and what it calls may wrap what they raise: Awkward turns
    whatever goes wrong in ``array.field`` into an AttributeError.

    Parameters
    ----------
    error : BaseException
        What the processor raised.

    Returns
    -------
    ReadingError or None
        The error itself or the one it was raised from; None if it is the processor's own.
    """
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        if isinstance(found, ReadingError):
            return found
        seen.add(id(found))
        found = found.__cause__ or (None if found.__suppress_context__ else found.__context__)
    return None
