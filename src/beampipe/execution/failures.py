"""Everything about a chunk that failed which a person needs to act on it."""

from __future__ import annotations

import socket
import sys
import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING

from beampipe.datasets.chunks import chunk_range
from beampipe.datasets.model import Chunk
from beampipe.datasets.urls import hide_secrets, show_url
from beampipe.environments.own_code import where_raised
from beampipe.error_kinds import classify_error
from beampipe.error_rules import ErrorRule
from beampipe.errors import BeampipeError, ProcessorFailedError
from beampipe.execution.manifest import FailedChunk

if TYPE_CHECKING:
    from beampipe.reading.chunk_events import ChunkEvents

# An array in an exception's message makes megabytes of it.
_MESSAGE, _TRACEBACK = 2_000, 20_000


def explain_error(error: BaseException, data: ChunkEvents | None) -> BaseException:
    """Find the plain word for what came out of a processor, where there is one.

    Columns load inside the processor, so broken bytes and misspelt names arrive in the
    disguise that Awkward and others gave them; the original stays the cause.
    """
    from beampipe.reading.columns import explain_missing_column
    from beampipe.reading.faults import find_read_error

    if data is None or isinstance(error, BeampipeError):
        return error
    if (behind := find_read_error(error)) is not None:
        return behind
    explained = explain_missing_column(error, data.known_columns())
    if explained is None:
        return error
    explained.__cause__ = error
    return explained


def describe_failure(
    chunk: Chunk,
    error: BaseException,
    data: ChunkEvents | None = None,
    *,
    attempt: int = 1,
    worker: str | None = None,
    rules: Sequence[ErrorRule] = (),
) -> FailedChunk:
    """Say everything about an exception that a person needs to act on it.

    Parameters
    ----------
    rules : sequence of ErrorRule, optional
        The user's own rules of what kind an error is.
    """
    plan, verdict = chunk.plan, classify_error(error, rules)
    start, stop = data.chunk if data is not None else chunk_range(chunk)
    code = error.code if isinstance(error, BeampipeError) else ProcessorFailedError.code
    message, why, fix = _say(error), where_raised(error), ""
    if isinstance(error, BeampipeError):
        # What the processor raised is the cause where we put a plain word for it.
        why = why or (where_raised(error.__cause__) if error.__cause__ is not None else "")
        message, fix = error.message, error.fix
        why = "; ".join(text for text in (error.why, why) if text)
    return FailedChunk(
        uuid=plan.file.uuid,
        k=chunk.k,
        n=plan.n_chunks,
        start=start,
        stop=stop,
        url=show_url(data.url if data is not None else plan.file.urls[0]),
        code=code,
        error_type=type(error).__name__,
        message=_shorten(hide_secrets(message), _MESSAGE),
        traceback=_shorten(hide_secrets("".join(traceback.format_exception(error))), _TRACEBACK),
        worker=worker if worker is not None else _worker_name(),
        host=socket.gethostname(),
        attempt=attempt,
        why=hide_secrets(why) or verdict.what,
        fix=hide_secrets(fix) or verdict.fix,
        kind=verdict.kind,
        rule=verdict.rule,
    )


def _shorten(text: str, most: int) -> str:
    """Keep both ends of a text; the driver holds it for every chunk that failed."""
    left_out = len(text) - most
    if left_out <= 0:
        return text
    return f"{text[: most // 2]} [... {left_out:,} characters ...] {text[-most // 2 :]}"


def _say(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException:  # noqa: BLE001 (the user's own exception class, and it is broken)
        return "an error that raises when it is printed"


def _worker_name() -> str:
    # Only inside a Dask worker is distributed loaded already; elsewhere there is no worker.
    if "distributed" not in sys.modules:
        return "inline"
    from distributed import get_worker

    try:
        return str(get_worker().address)
    except ValueError:
        return "inline"
