from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest
from distributed import Client, LocalCluster
from distributed.security import Security
from tests.environments.grid import RFC, proxy, user, write
from tests.environments.tokens import SIGNATURE, make_token

from beampipe.environments.credential_shipping import (
    CredentialPlugin,
    Parcel,
    find_exposure,
    is_private,
    lay_out,
    pack_credentials,
    shipped_credentials,
    take_away,
)

HIDDEN = 'mount -t tmpfs none "$1" && shift && exec "$@"'
PATIENCE_S = 120
PROJECT = Path(__file__).resolve().parents[2]
VARIABLES = ("X509_USER_PROXY", "BEARER_TOKEN_FILE")


@pytest.fixture(autouse=True)
def variables(monkeypatch):
    """What a test changes in the environment is as before at its end."""
    for name in ("X509_USER_PROXY", "BEARER_TOKEN", "BEARER_TOKEN_FILE"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return monkeypatch


@pytest.fixture
def mine(tmp_path, variables):
    """A folder with a proxy and a token, which the variables name."""
    folder = tmp_path / "mine µ 'x'"
    folder.mkdir()
    write(folder / "proxy", proxy(user(), "1", oid=RFC).pem())
    write(folder / "token", make_token().encode())
    variables.setenv("X509_USER_PROXY", str(folder / "proxy"))
    variables.setenv("BEARER_TOKEN_FILE", str(folder / "token"))
    return folder


def wait_until(condition):
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


# -- what goes ----------------------------------------------------------------------------------


def test_what_can_be_used_is_packed_and_shown_nowhere(mine):
    parcels = pack_credentials()
    assert [(one.kind, one.path) for one in parcels] == [
        ("proxy", str(mine / "proxy")), ("token", str(mine / "token")),
    ]  # fmt: skip
    assert parcels[0].data == (mine / "proxy").read_bytes()
    plugin = CredentialPlugin("a", parcels)
    assert SIGNATURE not in repr(parcels) + repr(plugin) + str(plugin)
    assert "PRIVATE" not in repr(parcels) + repr(plugin)


def test_what_is_bad_stays_here(mine):
    (mine / "token").chmod(0o644)
    write(mine / "proxy", proxy(user(), "1", oid=RFC, end_h=-0.05).pem())
    assert pack_credentials() == ()


def test_a_token_in_a_variable_is_packed_without_a_path(mine, variables):
    variables.setenv("BEARER_TOKEN", " t ")
    assert pack_credentials()[1] == Parcel("token", "", b"t")


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("tls://10.1.2.3:8786", True),
        ("gateway://host:443/abc", True),
        ("inproc://10.1.2.3/1/1", True),
        ("tcp://127.0.0.1:1", True),
        ("tcp://[::1]:1", True),
        ("tcp://localhost:1", True),
        ("tcp://localhost.example.org:1", False),
        ("tcp://127.example.org:1", False),
        ("tcp://10.1.2.3:8786", False),
        ("ws://host:1", False),
        ("10.1.2.3:8786", False),
    ],
)
def test_which_connections_others_cannot_read(address, expected):
    assert is_private(address) is expected


class Remote:
    """A client whose scheduler is open to a whole site, behind a tunnel that ends here."""

    class scheduler:  # noqa: N801 (as a client has it)
        address = "tcp://127.0.0.1:8786"

    def __init__(self):
        self.registered = []

    def scheduler_info(self, n_workers):
        assert n_workers == 0
        return {"address": "tcp://10.1.2.3:8786"}


def test_nothing_goes_over_an_open_connection(mine):
    told = []
    assert find_exposure(Remote()).startswith("the connection to tcp://10.1.2.3:8786")
    with shipped_credentials(Remote(), say=told.append):
        pass
    (text,) = told
    assert text.startswith("Your proxy and token was not sent to workers: the connection")


def test_a_scheduler_that_does_not_answer_gets_nothing(mine):
    class Lost(Remote):
        def scheduler_info(self, n_workers):  # noqa: ARG002
            raise OSError("timed out")

    assert find_exposure(Lost()) == "the scheduler does not answer"


# -- what a worker does with it -----------------------------------------------------------------


def on_worker(monkeypatch, folder, **variables):
    """Let this process be a worker with other variables."""
    for name in ("X509_USER_PROXY", "BEARER_TOKEN", "BEARER_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    for name, text in {"X509_USER_PROXY": str(folder / "none"), **variables}.items():
        monkeypatch.setenv(name, text)


def test_a_worker_writes_what_it_does_not_see_until_the_last_one_leaves(tmp_path, variables):
    on_worker(variables, tmp_path, BEARER_TOKEN="its own")  # noqa: S106
    parcels = Parcel("proxy", "/not/here", b"P1"), Parcel("token", "", b"T1")
    for holder in ("a", "b"):
        for parcel in parcels:
            lay_out(parcel, tmp_path, holder=holder)
    place = Path(os.environ["X509_USER_PROXY"])
    assert (place.read_bytes(), place.stat().st_mode & 0o777) == (b"P1", 0o600)
    token = Path(os.environ["BEARER_TOKEN_FILE"])
    assert (token.read_bytes(), token.stat().st_mode & 0o777) == (b"T1", 0o600)
    assert "BEARER_TOKEN" not in os.environ  # it would go before the file
    lay_out(Parcel("proxy", "/not/here", b"P2"), tmp_path, holder="c")
    assert place.read_bytes() == b"P2"
    for holder in ("a", "c"):
        take_away(holder)
    assert place.exists()
    take_away("b")
    assert not place.exists()
    assert not token.exists()
    assert os.environ["X509_USER_PROXY"] == str(tmp_path / "none")
    assert os.environ["BEARER_TOKEN"] == "its own"  # noqa: S105
    assert "BEARER_TOKEN_FILE" not in os.environ
    take_away("b")


def test_a_worker_that_sees_the_same_keeps_to_it(tmp_path, mine, variables):
    for parcel in pack_credentials():
        lay_out(parcel, tmp_path, holder="a")
    assert os.environ["X509_USER_PROXY"] == str(mine / "proxy")
    assert sorted(path.name for path in tmp_path.iterdir()) == [mine.name]
    take_away("a")
    variables.setenv("BEARER_TOKEN", "t")
    lay_out(Parcel("token", "", b"t\n"), tmp_path, holder="a")
    assert os.environ["BEARER_TOKEN"] == "t"  # noqa: S105


def test_a_worker_that_sees_the_file_and_was_not_told_so_uses_it(tmp_path, mine, variables):
    parcels = pack_credentials()
    on_worker(variables, tmp_path)
    lay_out(parcels[0], tmp_path, holder="a")
    assert os.environ["X509_USER_PROXY"] == str(mine / "proxy")
    take_away("a")
    assert (mine / "proxy").exists()  # it is not ours to take away


def test_a_proxy_that_the_batch_system_delegated_stays_if_it_lasts_as_long(
    tmp_path, mine, variables
):
    """HTCondor makes another proxy of the user's, so its content is not the same."""
    (parcel, _) = pack_credentials()
    delegated = tmp_path / "delegated"
    write(delegated, proxy(proxy(user(), "1", oid=RFC), "2", oid=RFC, end_h=8).pem())
    on_worker(variables, tmp_path, X509_USER_PROXY=str(delegated))
    ours = replace(parcel, path="/not/here", ends_at=parcel.ends_at - 5 * 3600)
    longer = replace(ours, ends_at=parcel.ends_at)
    for wanted, is_kept in (
        (ours, True),
        (longer, False),
        (replace(ours, owner="/CN=Somebody else"), False),
        (replace(ours, owner=""), False),
    ):
        lay_out(wanted, tmp_path, holder="a")
        expected = delegated if is_kept else tmp_path / "beampipe-proxy"
        assert os.environ["X509_USER_PROXY"] == str(expected)
        take_away("a")
        assert os.environ["X509_USER_PROXY"] == str(delegated)


def test_a_worker_without_room_goes_on(tmp_path, variables, caplog):
    class Worker:
        local_directory = str(tmp_path / "gone")

    on_worker(variables, tmp_path)
    plugin = CredentialPlugin("a", [Parcel("proxy", "/not/here", b"P1")])
    plugin.setup(Worker())
    assert "no proxy can be written here" in caplog.text
    assert "P1" not in caplog.text
    plugin.teardown(Worker())


# -- with real workers --------------------------------------------------------------------------


def need_root():
    if os.geteuid() != 0:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("files are hidden by root")


def start_blind(cluster, scratch, folder, number):
    """A worker that does not see the folder."""
    cert, key, ca = cluster.security_files
    extra = ["--tls-cert", cert, "--tls-key", key, "--tls-ca-file", ca]
    worker = [sys.executable, "-m", "distributed.cli.dask_worker", cluster.scheduler_address]
    worker += [
        "--nthreads",
        "1",
        "--no-dashboard",
        "--no-nanny",
        "--local-directory",
        str(scratch),
        *extra,
    ]
    hidden = ["unshare", "--mount", "bash", "-c", HIDDEN, "hide", str(folder), *worker]
    with (scratch / f"log-{number}").open("wb") as log:
        environment = os.environ | {"PYTHONPATH": str(PROJECT)}  # so that it finds this file
        return subprocess.Popen(hidden, cwd=scratch, stderr=log, stdout=log, env=environment)


@pytest.fixture
def blind(mine, tmp_path):
    """A client on TLS, and a function that starts a worker that does not see `mine`."""
    need_root()
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    security = Security.temporary()
    files = [write(scratch / name, text.encode()) for name, text in (
        ("cert", security.tls_worker_cert), ("key", security.tls_worker_key),
        ("ca", security.tls_ca_file),
    )]  # fmt: skip
    started = []
    with (
        LocalCluster(
            n_workers=0, dashboard_address=":0", silence_logs=50, protocol="tls://",
            security=security,
        ) as cluster,
        Client(cluster, security=security) as client,
    ):  # fmt: skip
        cluster.security_files = [str(path) for path in files]

        def start():
            started.append(start_blind(cluster, scratch, mine, len(started)))
            client.wait_for_workers(len(started), timeout=PATIENCE_S)

        start()
        yield client, start, scratch
        for process in started:
            process.terminate()
            process.wait(PATIENCE_S)


def look_there():
    """What a library would find on a worker."""
    found = {"pid": os.getpid()}
    for name in VARIABLES:
        place = Path(os.environ.get(name, "/none"))
        found[name] = (
            (str(place), place.read_bytes(), place.stat().st_mode & 0o777)
            if place.exists()
            else None
        )
    return found


def held_by_scheduler(dask_scheduler):
    return [name for name in dask_scheduler.worker_plugins if "credentials" in name]


def seen_by_scheduler(dask_scheduler):
    """All that a scheduler would tell: its pages, its state, its events, its log."""
    scheduler = dask_scheduler
    state = scheduler.identity(n_workers=-1), scheduler._to_dict(exclude=()), scheduler.get_logs()
    return repr((state, list(scheduler.tasks), scheduler.get_events(), os.environ))


def seen_by_worker(dask_worker):
    state = dask_worker.identity(), dask_worker._to_dict(exclude=()), dask_worker.get_logs()
    return repr((state, dask_worker.plugins))


def search(client, folder, there, secrets):
    """Where a secret is found that should be in the workers' two files alone."""
    texts = {
        "scheduler": client.run_on_scheduler(seen_by_scheduler),
        "workers": repr(client.run(seen_by_worker)),
        "client": repr((client, client.cluster, client.cluster.scheduler_info)),
        "events": repr((client.get_events(), client.scheduler_info(n_workers=-1))),
        "logs": repr((client.get_worker_logs(), client.get_scheduler_logs())),
    }
    port = client.cluster.scheduler.services["dashboard"].port
    for page in ("info/main/workers.html", "info/main/logs.html", "json/identity.json", "metrics"):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{page}", timeout=120) as answer:
            texts[page] = answer.read().decode()
    for pid in [os.getpid(), *(found["pid"] for found in there)]:
        for path in (Path(f"/proc/{pid}/cmdline"), Path(f"/proc/{pid}/environ")):
            texts[str(path)] = path.read_bytes().decode("latin-1")
    laid = {found[name][0] for found in there for name in VARIABLES}
    assert len(laid) == 2 * len(there)
    files = [path for path in folder.rglob("*") if path.is_file() and str(path) not in laid]
    texts |= {str(path): path.read_bytes().decode("latin-1") for path in files}
    assert "Starting Worker plugin beampipe-credentials" in texts["logs"]  # it was looked there
    return [where for where, text in texts.items() if any(secret in text for secret in secrets)]


def test_live_and_later_workers_have_it_and_get_the_new_one(blind, mine, tmp_path):
    client, start, scratch = blind
    told = []
    (before,) = client.run(look_there).values()
    assert before["X509_USER_PROXY"] is None  # the worker is blind indeed
    with shipped_credentials(client, say=told.append, look_every_s=0.1):
        start()
        there = client.run(look_there).values()
        assert search(client, scratch, there, secrets_in(mine)) == []
        for found in there:
            for kind, name in (("proxy", "X509_USER_PROXY"), ("token", "BEARER_TOKEN_FILE")):
                place, data, mode = found[name]
                assert place.startswith(str(scratch))
                assert (data, mode) == ((mine / kind).read_bytes(), 0o600)
        renewed = write(tmp_path / "new", proxy(user(), "2", oid=RFC).pem())
        renewed.replace(mine / "proxy")
        wanted = (mine / "proxy").read_bytes()
        wait_until(
            lambda: all(
                found["X509_USER_PROXY"][1] == wanted for found in client.run(look_there).values()
            )
        )
        # What cannot be used takes nothing away.
        (mine / "proxy").unlink()
        places = [found["X509_USER_PROXY"][0] for found in client.run(look_there).values()]
        assert any("beampipe-credentials" in thread.name for thread in threading.enumerate())
    assert told == []
    for found in client.run(look_there).values():
        assert (found["X509_USER_PROXY"], found["BEARER_TOKEN_FILE"]) == (None, None)
    assert not any(Path(place).exists() for place in places)
    assert not any(
        thread.name.startswith("beampipe-credentials") for thread in threading.enumerate()
    )
    assert client.run_on_scheduler(held_by_scheduler) == []


def secrets_in(folder):
    """Lines of the key, which are in nothing else, and the token's signature."""
    lines = (folder / "proxy").read_text().split("-----BEGIN PRIVATE KEY-----")[1].splitlines()
    return [SIGNATURE, lines[3], lines[12]]
