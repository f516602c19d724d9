"""Proxy and token on workers that do not see ours: sent to live ones and later ones, and again."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import os
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import urlsplit

from distributed.client import ClosedClientError
from distributed.diagnostics.plugin import WorkerPlugin

from beampipe.environments.bearer_tokens import (
    FILE_VARIABLE,
    VALUE_VARIABLE,
    TokenPlace,
    check_token,
    find_token,
    read_token,
)
from beampipe.environments.secret_files import read_file
from beampipe.environments.x509 import VARIABLE, Proxy, check_proxy, find_proxy, read_proxy
from beampipe.errors import CredentialError
from beampipe.private_files import write_private

if TYPE_CHECKING:
    from distributed import Client, Worker

Kind = Literal["proxy", "token"]
LOOK_EVERY_S: Final = 15.0
_PATIENCE_S: Final = 30.0
_VARIABLES: Final = {"proxy": (VARIABLE,), "token": (FILE_VARIABLE, VALUE_VARIABLE)}
_PRIVATE_SCHEMES: Final = {"tls", "wss", "gateway", "inproc"}
_GONE = (OSError, TimeoutError, AttributeError, RuntimeError, ValueError, ClosedClientError)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Parcel:
    """A credential on its way.

    Attributes
    ----------
    kind : {"proxy", "token"}
        What it is.
    path : str
        Its file on the client; empty where a variable holds it.
    data : bytes
        Itself; in no representation.
    owner : str
        Of a proxy: whose it is, and in which VO.
    ends_at : float
        Of a proxy: until when it can be used [s since 1970].
    """

    kind: Kind
    path: str
    data: bytes = field(repr=False)
    owner: str = ""
    ends_at: float = 0.0


# -- on the client ------------------------------------------------------------------------------


def pack_credentials(environment: Mapping[str, str] = os.environ) -> tuple[Parcel, ...]:
    """Read what there is and can be used; what is bad is for `examine_credentials` to say."""
    parcels = []
    path, place = find_proxy(environment), find_token(environment)
    with contextlib.suppress(CredentialError):
        parcels.append(_pack_proxy(path))
    if place is not None:
        with contextlib.suppress(CredentialError):
            parcels.append(_pack_token(place, environment))
    return tuple(parcels)


def _pack_proxy(path: Path) -> Parcel:
    proxy = read_proxy(path)
    check_proxy(proxy)
    return Parcel(
        "proxy",
        str(path.absolute()),
        read_file(path, what="proxy")[0].reveal(),
        owner=_owner_of(proxy),
        ends_at=proxy.usable_until().timestamp(),
    )


def _owner_of(proxy: Proxy) -> str:
    vo = (proxy.voms.vo, *proxy.voms.fqans) if proxy.voms is not None else ()
    return " ".join((proxy.identity, *vo))


def _pack_token(place: TokenPlace, environment: Mapping[str, str]) -> Parcel:
    check_token(read_token(place, environment))
    if place.path is None:
        return Parcel("token", "", environment[VALUE_VARIABLE].strip().encode())
    return Parcel(
        "token", str(place.path.absolute()), read_file(place.path, what="token")[0].reveal()
    )


def find_exposure(client: Client) -> str:
    """Say where others could read what is sent to workers; empty where nobody can.

    Both legs count: a tunnel ends on this host, and its scheduler may be open to a whole site.
    """
    near = getattr(client.scheduler, "address", "")
    try:
        far = client.scheduler_info(n_workers=0)["address"]
    except _GONE:  # the run will say so, in more words
        return "the scheduler does not answer"
    for address in (near, far):
        if not is_private(address):
            return f"the connection to {address} is not encrypted"
    return ""


def is_private(address: str) -> bool:
    """Whether what goes to a Dask address is encrypted, or stays on this host."""
    place = urlsplit(address)
    if place.scheme in _PRIVATE_SCHEMES or place.hostname == "localhost":
        return True
    try:
        return ipaddress.ip_address(place.hostname or "").is_loopback
    except ValueError:
        return False


@contextlib.contextmanager
def shipped_credentials(
    client: Client, *, say: Callable[[str], None], look_every_s: float = LOOK_EVERY_S
) -> Iterator[None]:
    """Let workers have this user's proxy and token, until the block ends.

    Workers that see the same content keep to what they have. Those that come later get it; when
    it changes here it is sent again.

    Parameters
    ----------
    client : distributed.Client
        Whose workers.
    say : callable
        Told what is not sent, and why.
    look_every_s : float
        How often it is looked for a change [s].
    """
    parcels = pack_credentials()
    if exposure := find_exposure(client):
        if parcels:
            what = " and ".join(parcel.kind for parcel in parcels)
            say(f"Your {what} was not sent to workers: {exposure}.")
        yield
        return
    shipment = _Shipment(client, parcels)
    with contextlib.closing(shipment):
        shipment.begin(look_every_s)
        yield


class _Shipment:
    """What workers have of this user's, and the thread that keeps it so."""

    def __init__(self, client: Client, parcels: Sequence[Parcel]) -> None:
        self._client = client
        self._prefix = f"beampipe-credentials-{uuid.uuid4().hex[:8]}"
        self._wanted = tuple(parcels)
        self._sent: tuple[Parcel, ...] = ()
        self._n_sent = 0
        self._registered: list[str] = []
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self, look_every_s: float) -> None:
        """Send what there is, and look for changes from now on."""
        self._send()
        self._thread = threading.Thread(
            target=self._keep, args=(look_every_s,), name=self._prefix, daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Take it away from all workers."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(_PATIENCE_S)
        self._take_away(keep="")

    def _keep(self, look_every_s: float) -> None:
        while not self._stop.wait(look_every_s):
            parcels = pack_credentials()
            kinds = {parcel.kind for parcel in parcels}
            # What is being written, or has just expired, does not take away what workers have.
            kept = [parcel for parcel in self._wanted if parcel.kind not in kinds]
            self._wanted = tuple(sorted((*parcels, *kept), key=lambda parcel: parcel.kind))
            self._send()

    def _send(self) -> None:
        """Send what is new; it is there before the old goes, so that a file is never missing."""
        if self._wanted == self._sent:
            return
        self._n_sent += 1
        name, wanted = f"{self._prefix}-{self._n_sent}", self._wanted
        self._registered.append(name)
        with contextlib.suppress(*_GONE):  # if workers then cannot read, they will say so
            self._client.register_plugin(CredentialPlugin(name, wanted), name=name)
            self._sent = wanted
            self._take_away(keep=name)

    def _take_away(self, keep: str) -> None:
        for name in [name for name in self._registered if name != keep]:
            with contextlib.suppress(*_GONE):
                self._client.unregister_worker_plugin(name)
            self._registered.remove(name)


# -- on a worker --------------------------------------------------------------------------------


class CredentialPlugin(WorkerPlugin):
    """Keeps a user's credentials on a worker for as long as a run lasts.

    Parameters
    ----------
    name : str
        Under which it is registered.
    parcels : sequence of Parcel
        What to keep.
    """

    def __init__(self, name: str, parcels: Sequence[Parcel]) -> None:
        self.name = name
        self._parcels = tuple(parcels)

    def __repr__(self) -> str:
        return f"CredentialPlugin({self.name!r})"

    def setup(self, worker: Worker) -> None:
        """Write what the worker does not see."""
        for parcel in self._parcels:
            try:
                lay_out(parcel, Path(worker.local_directory), holder=self.name)
            except OSError as error:  # a full disk: the files that need it will say so
                _log.warning("no %s can be written here: %s", parcel.kind, error.strerror)

    def teardown(self, worker: Worker) -> None:
        """Take it away."""
        del worker
        take_away(self.name)


@dataclass(slots=True)
class _Laid:
    """What a kind of credential is in this process, for whom, and what was before."""

    path: Path
    is_ours: bool
    before: dict[str, str | None]
    holders: set[str]


_LAID: dict[Kind, _Laid] = {}
_LOCK = threading.Lock()


def lay_out(parcel: Parcel, folder: Path, *, holder: str) -> None:
    """See that this process has a credential: what it sees already, or a private file.

    Parameters
    ----------
    parcel : Parcel
        The credential.
    folder : Path
        Where it may be written.
    holder : str
        Who needs it; until the last one has it taken away.

    Raises
    ------
    OSError
        It cannot be written.
    """
    with _LOCK:
        laid = _LAID.get(parcel.kind)
        if laid is None and _is_seen(parcel, os.environ):
            return
        place, is_ours = Path(parcel.path), False
        if (laid is not None and laid.is_ours) or not (parcel.path and _holds(place, parcel)):
            # The same place for every run: libraries ask for the variable once.
            place = laid.path if laid and laid.is_ours else folder / f"beampipe-{parcel.kind}"
            write_private(place, parcel.data)
            is_ours = True
        before = laid.before if laid else {n: os.environ.get(n) for n in _VARIABLES[parcel.kind]}
        holders = laid.holders if laid else set()
        _LAID[parcel.kind] = _Laid(place, is_ours, before, holders | {holder})
        _set(dict.fromkeys(before) | {_VARIABLES[parcel.kind][0]: str(place)})


def take_away(holder: str) -> None:
    """Forget what was laid out for somebody; the file goes with the last one."""
    with _LOCK:
        for kind, laid in list(_LAID.items()):
            laid.holders.discard(holder)
            if laid.holders:
                continue
            del _LAID[kind]
            _set(laid.before)
            if laid.is_ours:
                with contextlib.suppress(OSError):
                    laid.path.unlink()


def _set(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _is_seen(parcel: Parcel, environment: Mapping[str, str]) -> bool:
    """Whether a library that looks for the credential here finds the same one, or a better one."""
    if parcel.kind == "proxy":
        path = find_proxy(environment)
        return _holds(path, parcel) or _is_as_good(path, parcel)
    place = find_token(environment)
    if place is None:
        return False
    if place.path is None:
        return environment[VALUE_VARIABLE].strip().encode() == parcel.data.strip()
    return _holds(place.path, parcel)


def _holds(path: Path, parcel: Parcel) -> bool:
    try:
        return read_file(path, what=parcel.kind)[0].reveal().strip() == parcel.data.strip()
    except CredentialError:
        return False


def _is_as_good(path: Path, parcel: Parcel) -> bool:
    """Whether a proxy here is the same user's, and lasts as long: HTCondor delegates and renews it.

    What it delegates is another proxy, made of the user's, so its content differs.
    """
    try:
        proxy = read_proxy(path)
        check_proxy(proxy)
    except CredentialError:
        return False
    is_same = bool(parcel.owner) and _owner_of(proxy) == parcel.owner
    return is_same and proxy.usable_until().timestamp() >= parcel.ends_at
