"""JupyterLab as a job on a worker node, or detached on this host."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from beampipe.batch.model import JobDescription, JobState
from beampipe.batch.registry import DIALECTS
from beampipe.clusters.batch_queue import BatchQueue, end_jobs, read_tail
from beampipe.clusters.cluster_folder import (
    find_state,
    make_state_folder,
    make_tag,
    state_error,
    write_keys,
)
from beampipe.clusters.condor_bindings import choose_dialect
from beampipe.clusters.detach import start_detached
from beampipe.clusters.job_wait import OVER, wait_for_job
from beampipe.clusters.named import check_name
from beampipe.clusters.notebook_start import HOST, TOKEN, read_server
from beampipe.clusters.site import Site
from beampipe.clusters.strategies import refuse_packed
from beampipe.clusters.worker_job import describe_place, find_dialect, python_of
from beampipe.errors import (
    BatchError,
    ClusterExistsError,
    ClusterStartError,
    ClusterUnknownError,
)
from beampipe.private_files import write_private
from beampipe.process_identity import identify, is_alive, is_known_here

_RECORD, _LOG, _SCRIPT = "notebook.json", "notebook.log", "notebook.sh"
_START: Final = "beampipe.clusters.notebook_start"
_START_S, _LOOK_S = 120.0, 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Notebook:
    """What is written down of a notebook.

    Attributes
    ----------
    name : str
    site : str
        Its site; empty on this host.
    system, tag, job_id : str
        Its job; empty on this host.
    owner : mapping
        Its process on this host, see `beampipe.process_identity`.
    began_at : float
        [s since 1970]
    """

    name: str
    site: str = ""
    system: str = ""
    tag: str = ""
    job_id: str = ""
    owner: Mapping[str, Any] = field(default_factory=dict)
    began_at: float = 0.0

    @property
    def folder(self) -> Path:
        """Where its token, its certificate and its log are; only its owner may look into it."""
        return find_state("notebooks") / self.name

    def describe(self) -> dict[str, Any]:
        """How one gets to it: ``host``, ``port``, ``url``, ``tunnel``; empty while it starts.

        The address has the token in it: for its owner's terminal alone.
        """
        server = read_server(self.folder)
        if server is None:
            return {}
        port = server["port"]
        host = _reachable(*(self.folder / HOST).read_text(encoding="utf-8").split())
        token = (self.folder / TOKEN).read_text(encoding="ascii").strip()
        protocol = "https" if self.job_id else "http"
        return {
            "host": host,
            "port": port,
            "url": f"{protocol}://localhost:{port}/lab?token={token}",
            "tunnel": f"ssh -N -L {port}:{host if self.job_id else 'localhost'}:{port} LOGIN-HOST",
        }

    def write(self) -> None:
        """Write it down."""
        write_private(self.folder / _RECORD, json.dumps(asdict(self), indent=1))


def open_notebook(
    name: str,
    site: Site | None,
    *,
    work: Path,
    say: Callable[[str], None] = lambda _: None,
) -> Notebook:
    """Start JupyterLab, as a job of a site or on this host, and wait until it answers.

    Parameters
    ----------
    name : str
        For people, and for `stop_notebook`.
    site : Site or None
        Where; None is this host.
    work : Path
        The folder that it shows.
    say : callable
        Told what is waited for.

    Raises
    ------
    ClusterNameError, ClusterExistsError, ClusterStartError, BatchError
        It cannot be started, and why.
    """
    check_name(name, "a notebook")
    if any(known.name == name for known in list_notebooks()):
        raise ClusterExistsError(
            f"A notebook '{name}' is there already.",
            fix=f"`beampipe notebook list` shows it; end it by `beampipe notebook stop {name}`",
        )
    book = Notebook(name=name, site=site.name if site else "", began_at=time.time())
    _lay_out(book)
    try:
        if site is None:
            return _open_here(book, work, say)
        return asyncio.run(_open_as_job(book, site, work, say))
    except BaseException:
        shutil.rmtree(book.folder, ignore_errors=True)
        raise


def list_notebooks() -> list[Notebook]:
    """All notebooks of this user that are written down, in the order of their names."""
    found = []
    for path in sorted(find_state("notebooks").glob(f"*/{_RECORD}")):
        with contextlib.suppress(OSError, ValueError, TypeError):
            found.append(replace(Notebook(**json.loads(path.read_bytes())), name=path.parent.name))
    return found


def find_notebook(name: str | None) -> Notebook:
    """Find one by its name, or the only one.

    Raises
    ------
    ClusterUnknownError
        ``cluster-unknown``
    """
    known = list_notebooks()
    if name is None and len(known) == 1:
        return known[0]
    for book in known:
        if book.name == name:
            return book
    raise ClusterUnknownError(
        f"There is no notebook '{name}'." if name else "It is not clear which notebook is meant.",
        why=f"those that there are: {', '.join(book.name for book in known)}"
        if known
        else "you have none",
        fix="`beampipe notebook list` lists them; `beampipe notebook --on SITE` starts one",
        known=[book.name for book in known],
    )


def look_at(book: Notebook) -> str:
    """How it is, in words."""
    if book.job_id:
        try:
            status = asyncio.run(_queue_of(book).look()).get(book.job_id)
        except BatchError as error:
            return f"unknown: {error.message}"
        if status is None or status.state in OVER:
            return "ended"
        if status.state is not JobState.RUNNING:
            return f"{status.state}{f' ({status.reason})' if status.reason else ''}"
    elif not (is_known_here(book.owner) and is_alive(book.owner)):
        return "ended" if is_known_here(book.owner) else f"on {book.owner.get('host')}"
    return "running" if read_server(book.folder) else "starting"


def stop_notebook(book: Notebook) -> None:
    """End it, and forget it.

    Raises
    ------
    ClusterStartError
        ``cluster-start``: the queue does not say that its job is gone; it is not forgotten.
    """
    if book.job_id:
        dialect = _queue_of(book).dialect
        if not asyncio.run(end_jobs(dialect, book.tag, (book.job_id,))):
            raise ClusterStartError(
                f"Notebook '{book.name}' may still run.",
                why=f"{book.system} does not say that job {book.job_id} is gone",
                fix="try again later",
            )
    elif is_known_here(book.owner) and is_alive(book.owner):
        os.kill(int(book.owner["pid"]), signal.SIGTERM)
    shutil.rmtree(book.folder, ignore_errors=True)


def _reachable(name: str, address: str = "") -> str:
    """A node's name, or its address where its name means nothing here."""
    try:
        socket.getaddrinfo(name, None)
    except OSError:
        return address or name
    return name


# -- starting -----------------------------------------------------------------------------------


def _lay_out(book: Notebook) -> None:
    """Make the folder with all that the server needs, before anything of it runs."""
    from distributed.security import Security

    make_state_folder(book.folder, f"notebook '{book.name}'")
    try:
        write_private(book.folder / TOKEN, secrets.token_urlsafe(32))
        write_keys(book.folder, Security.temporary())
    except OSError as error:
        raise state_error(f"Nothing can be written into '{book.folder}'.", error) from error


def _open_here(book: Notebook, work: Path, say: Callable[[str], None]) -> Notebook:
    command = [sys.executable, "-P", "-m", _START, str(book.folder), str(work), "--only-here"]
    pid = start_detached(command, book.folder / _LOG)
    book = replace(book, owner=identify(pid))
    book.write()
    say(f"waiting for JupyterLab (process {pid})")
    give_up = time.monotonic() + _START_S
    while time.monotonic() < give_up:
        if read_server(book.folder):
            return book
        if not is_alive(book.owner):
            raise _not_started(book, read_tail(book.folder / _LOG))
        time.sleep(_LOOK_S)
    os.kill(pid, signal.SIGTERM)
    raise _not_started(book, f"it was not ready within {_START_S:.0f} s")


async def _open_as_job(
    book: Notebook, site: Site, work: Path, say: Callable[[str], None]
) -> Notebook:
    dialect = find_dialect(site)
    refuse_packed(site, "a notebook")
    tag = make_tag(f"{book.name}-notebook")
    queue = _queue_of(replace(book, tag=tag, system=dialect.name), site, work)
    queue.check_commands()
    (job_id,) = await queue.submit(1)
    book = replace(book, tag=tag, system=dialect.name, job_id=job_id)
    book.write()
    try:
        await wait_for_job(
            queue, job_id, lambda: bool(read_server(book.folder)), what="the notebook", say=say
        )
    except ClusterStartError as error:
        raise _not_started(book, error.why) from error
    except BaseException:
        await queue.cancel((job_id,))
        raise
    return book


def _queue_of(book: Notebook, site: Site | None = None, work: Path | None = None) -> BatchQueue:
    """The queue, asked for this notebook's job."""
    site = site or Site()
    dialect = choose_dialect(book.system, use_bindings=site.use_bindings) or DIALECTS[book.system]
    job = JobDescription(
        name=f"{book.name} (notebook)",
        tag=book.tag,
        command=(*python_of(site), "-P", "-m", _START, str(book.folder), str(work or Path())),
        log_folder=book.folder,
        **describe_place(site),
    )
    return BatchQueue(dialect, job, book.folder / _SCRIPT)


def _not_started(book: Notebook, why: str) -> ClusterStartError:
    missing = "jupyterlab" in why and "No module" in why
    return ClusterStartError(
        f"Notebook '{book.name}' did not start.",
        why=why,
        fix="install JupyterLab where the workers run: pip install 'beampipe[lab]'"
        if missing
        else "see the lines above; `beampipe doctor` looks at the site",
    )
