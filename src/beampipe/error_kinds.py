"""The one table that tells what kind an error is, and so whether another try is worth it.

Docs: ``docs/reference/error-kinds.md`` shows it; a test holds the two together.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from beampipe.error_rules import ErrorKind, ErrorRule, follow_chain

_LATER = "try again later with `beampipe resume`, or name a replica on other storage"
_REPLACE = "copy or make the file again, take it out of the fileset, or name a replica"
_AGAIN = "plan and run again, when nothing changes the files any more"
_MEND = "look at it with `beampipe reproduce RUN --failure N --pdb`, which runs the chunk here"
_MEMORY = "give workers more memory (setting `memory_limit`), or take smaller chunks (--chunksize)"


def _errnos(*names: str) -> tuple[int, ...]:
    """Their numbers; macOS does not have all of them."""
    return tuple(getattr(errno, name) for name in names if hasattr(errno, name))


TABLE: Final[tuple[ErrorRule, ...]] = (
    # -- a worker went down: nothing that was raised in it says why --------------------------
    ErrorRule(
        name="worker-died",
        kind="worker",
        codes=("run-worker-died", "run-workers-lost", "run-partial-lost"),
        what="the worker that had the chunk died, or its result was lost",
        fix="look at the workers' logs; the chunk may need more memory",
    ),
    ErrorRule(
        name="killed-worker",
        kind="worker",
        errors=("distributed.KilledWorker",),
        what="Dask gave up a task that took several workers down with it",
        fix="look at the workers' logs; the chunk may need more memory",
    ),
    # -- a machine ran out of something ------------------------------------------------------
    ErrorRule(
        name="memory",
        kind="resource",
        errors=("MemoryError",),
        what="no memory was left, NumPy's arrays included",
        fix=_MEMORY,
    ),
    ErrorRule(
        name="memory-system",
        kind="resource",
        errnos=_errnos("ENOMEM"),
        what="the system had no memory for a call",
        fix=_MEMORY,
    ),
    ErrorRule(
        name="disk-full",
        kind="resource",
        errnos=_errnos("ENOSPC", "EDQUOT"),
        what="a disk of the worker, or the user's quota, is full",
        fix="free some space there; caches and scratch folders of workers are frequent findings",
    ),
    ErrorRule(
        name="open-files",
        kind="resource",
        errnos=_errnos("EMFILE", "ENFILE"),
        what="too many files are open",
        fix="raise the limit of open files (`ulimit -n`), and close files in the processor",
    ),
    ErrorRule(
        name="threads",
        kind="resource",
        errors=("RuntimeError",),
        message="can't start new thread",
        what="no thread can be started",
        fix="raise the limit of processes (`ulimit -u`), or start fewer threads",
    ),
    # -- certainly the file's or the fileset's fault, whatever else is in the chain ------------
    ErrorRule(
        name="file-changed",
        kind="data",
        codes=("reading-file-changed", "dataset-file-mismatch"),
        what="the file is not the one that was planned: replaced, rewritten, grown",
        fix=_AGAIN,
    ),
    ErrorRule(
        name="not-root",
        kind="data",
        codes=("dataset-not-root", "dataset-file-empty", "dataset-file-truncated"),
        what="no ROOT file, an empty one, or a part of one",
        fix=_REPLACE,
    ),
    ErrorRule(
        name="tree-missing",
        kind="data",
        codes=("dataset-tree-not-found", "dataset-tree-ambiguous"),
        what="the file has no such tree, or several and none was named",
        fix="name a tree that is there, or take the file out of the fileset",
    ),
    ErrorRule(
        name="branch-missing",
        kind="data",
        codes=("reading-column-not-found",),
        what="the file has no such branch",
        fix='ask for a branch that is there, or check with `"name" in events.fields`',
    ),
    ErrorRule(
        name="unknown-host",
        kind="data",
        errors=("socket.gaierror",),
        errnos=(socket.EAI_NONAME,),
        of_url=True,
        what="there is no server of this name",
        fix="correct the server's name in the URL",
    ),
    ErrorRule(
        name="certificate",
        kind="data",
        errors=("ssl.SSLCertVerificationError",),
        of_url=True,
        what="the server's certificate is not trusted here",
        fix="install the certificates of its authority, or set SSL_CERT_FILE / X509_CERT_DIR",
    ),
    ErrorRule(
        name="xrootd-server",
        kind="transient",
        errors=("OSError",),
        # "No servers are available" comes with 3011 (not found), so this line is before the next:
        # locked, file system, I/O, memory, server, no server, cancelled, in progress, overloaded,
        # no replicas, too many errors, timed out, timer expired
        message=r"\[30(03|05|07|08|12|14|17|20|24|29|33|34|35)\]|no servers (are )?available",
        what="the XRootD server says that it cannot just now",
        fix=_LATER,
    ),
    ErrorRule(
        name="xrootd-refused",
        kind="data",
        errors=("OSError",),
        message=r"\[30(10|11|15|16|19|30)\]|\bauth failed|\blogin failed|resource not found"
        r"|no protocols left",
        of_url=True,
        what="the XRootD server has no such file, or may not give it",
        fix="correct the path; renew the proxy or token that this storage asks for",
    ),
    ErrorRule(
        name="short-read",
        kind="data",
        errors=("OSError",),
        message=r"expected Chunk of length \d+,\s+received \d+ bytes",
        what="the file ends before the bytes that its tree points to",
        fix=_REPLACE,
    ),
    # -- passes by itself, perhaps ------------------------------------------------------------
    ErrorRule(
        name="name-server",
        kind="transient",
        errors=("socket.gaierror",),
        errnos=(socket.EAI_AGAIN, socket.EAI_FAIL),
        what="the name server does not answer",
        fix=_LATER,
    ),
    ErrorRule(
        name="connection",
        kind="transient",
        errors=(
            "ConnectionError",
            "aiohttp.ClientConnectionError",
            "aiohttp.ClientPayloadError",
            "http.client.IncompleteRead",
            "requests.ConnectionError",
            "requests.ChunkedEncodingError",
            "urllib3.ProtocolError",
        ),
        what="a connection was refused, reset, or ended in the middle",
        fix=_LATER,
    ),
    ErrorRule(
        name="timeout",
        kind="transient",
        errors=("TimeoutError", "requests.Timeout", "urllib3.TimeoutError"),
        what="no answer in time: sockets, asyncio, aiohttp, fsspec",
        fix=_LATER,
    ),
    ErrorRule(
        name="network",
        kind="transient",
        errnos=_errnos(
            "ENETUNREACH",
            "EHOSTUNREACH",
            "ENETDOWN",
            "EHOSTDOWN",
            "ENETRESET",
            "ECONNRESET",
            "ETIMEDOUT",
        ),
        what="the network, or the way to the server, is down",
        fix=_LATER,
    ),
    ErrorRule(
        name="file-system",
        kind="transient",
        errnos=_errnos("EIO", "ESTALE", "EAGAIN", "EBUSY", "EREMOTEIO", "ENOTCONN"),
        what="a file system failed: a stale handle (NFS), a mount that is gone (EOS, CVMFS)",
        fix=_LATER,
    ),
    ErrorRule(
        name="http-status",
        kind="transient",
        statuses=(408, 425, 429, 500, 502, 503, 504),
        what="the HTTP server is overloaded or in trouble",
        fix=_LATER,
    ),
    ErrorRule(
        name="xrootd-client",
        kind="transient",
        errors=("OSError",),
        message=r"operation (expired|interrupted|in progress)|socket (error|timeout|disconnected)"
        r"|stream disconnect|connection error|invalid (session|address|redirect|response|message)"
        r"|hand ?shake failed|poll(er)? error|tls error|unhandled redirect|redirect limit"
        r"|threshold exceeded|no more (free sids|replicas)|stale",
        of_url=True,
        what="the XRootD client lost its server, was sent round in circles, or waited too long",
        fix=_LATER,
    ),
    # -- here, not elsewhere -----------------------------------------------------------------
    ErrorRule(
        name="not-seen-here",
        kind="data",
        codes=("dataset-file-missing", "dataset-file-access"),
        of_url=False,
        elsewhere=True,
        what="a path that planning saw is not there, or may not be read, where the worker runs",
        fix="do all workers see this folder, with your permissions? If it was deleted, plan again",
    ),
    # -- the rest of what goes wrong with files -------------------------------------------------
    ErrorRule(
        name="not-given",
        kind="data",
        errors=("FileNotFoundError", "PermissionError", "IsADirectoryError"),
        of_url=True,
        what="the server has no such file, or may not give it",
        fix="correct the address; renew the proxy or token that this storage asks for",
    ),
    ErrorRule(
        name="storage-unnamed",
        kind="transient",
        errors=("OSError",),
        of_url=True,
        what="a storage plug-in failed with words that this table does not know",
        fix=_LATER,
    ),
    ErrorRule(
        name="wrong-use",
        kind="processor",
        codes=("reading-schema", "reading-chunk-closed"),
        what="the schema does not fit, or the result holds columns that were never read",
        fix=_MEND,
    ),
    ErrorRule(
        name="unreadable",
        kind="data",
        errors=("beampipe.errors.DatasetError", "beampipe.errors.ReadingError"),
        what="bytes that cannot be decompressed or understood: a corrupt basket, a damaged header",
        fix=_REPLACE,
    ),
    ErrorRule(
        name="anything-else",
        kind="processor",
        what="the processor raised, or returned what cannot be used",
        fix=_MEND,
    ),
)
"""The first line that holds for any error of the chain decides; the user's own come before."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an error is.

    Attributes
    ----------
    kind : {"transient", "data", "processor", "resource", "worker"}
    rule : str
        The line of the table that decided.
    elsewhere : bool
        Whether another host may fare better.
    what, fix : str
        What errors of this line are, and what can be done about them.
    """

    kind: ErrorKind
    rule: str
    elsewhere: bool = False
    what: str = ""
    fix: str = ""

    @property
    def may_pass(self) -> bool:
        """Whether the same thing may succeed later, or on another worker."""
        return self.kind in {"transient", "resource"} or self.elsewhere


def classify_error(error: BaseException, rules: Sequence[ErrorRule] = ()) -> Verdict:
    """Tell what kind an error is.

    Parameters
    ----------
    error : BaseException
        What was caught; everything that it came from is looked at too.
    rules : sequence of ErrorRule, optional
        The user's own, which come before the table.

    Returns
    -------
    Verdict
        The first rule that holds for any error of the chain decides.

    Examples
    --------
    >>> classify_error(ConnectionResetError()).kind
    'transient'
    >>> classify_error(ZeroDivisionError()).kind
    'processor'
    """
    chain = follow_chain(error)
    rule = next(rule for rule in (*rules, *TABLE) if rule.holds(chain))
    return Verdict(rule.kind, rule.name, rule.elsewhere, rule.what, rule.fix)
