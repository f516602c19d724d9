"""Every line of the table is provoked for real.

Sockets that are refused, reset or silent; a web server that fails in every way; a real XRootD
client that is told what is wrong; files that are broken; limits of memory, files and threads; and
a shim in front of the C library for the errors that no machine gives on demand. Only for what is
left, words of the XRootD client and codes of our own, are errors made by hand.
"""

from __future__ import annotations

import asyncio
import errno
import http.client
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import aiohttp
import fsspec.asyn
import pytest
import pyxrootd
import requests
import urllib3
from tests.faults.http_server import FaultyServer
from tests.faults.tls import write_own_certificate
from tests.faults.xrootd_server import XRootDServer

from beampipe.datasets.counting import count_file
from beampipe.datasets.model import FileSpec
from beampipe.datasets.second_tries import SecondTries
from beampipe.error_kinds import TABLE, classify_error
from beampipe.error_rules import ErrorRule, is_called
from beampipe.errors import (
    ChunkClosedError,
    ColumnNotFoundError,
    DatasetError,
    FileChangedError,
    PartialLostError,
    ReadingError,
    SchemaError,
    WorkerDiedError,
    WorkersLostError,
)
from beampipe.reading.loading import ColumnLoader
from beampipe.reading.trees import TreePool
from beampipe.testing import tiny_files

FAULTS = Path(__file__).parent / "faults"
RULES = {rule.name: rule for rule in TABLE}
PROVOKED: set[str] = set()
HOSTILE = "Z → µµ 'x' \"q\".root"
PATIENCE_S = 100


def provokes(*names):
    """Write down which lines of the table a test provokes."""
    PROVOKED.update(names)
    assert RULES.keys() >= set(names)
    return lambda test: test


def rule_of(call, *arguments, **options):
    """The line that decides about what a call raises."""
    with pytest.raises(BaseException) as caught:  # noqa: PT011 (which one is the question)
        call(*arguments, **options)
    return classify_error(caught.value).rule


def count(*urls, **details):
    spec = FileSpec(tuple(map(str, urls)), **details)
    return count_file(spec, "DY", tries=SecondTries(waits_s=()))


def read(*urls, before=lambda: None):
    """Open the tree, let something happen, read a column."""
    entry, pool = count(*urls), TreePool()
    try:
        opened = pool.get(entry)
        before()
        return ColumnLoader(opened, 0, entry.entries).load("x")
    finally:
        pool.close()


@pytest.fixture
def server(tmp_path):
    folder = tmp_path / "served"
    tiny_files.write_tree_file(folder / "a.root", events=10_000)
    with FaultyServer(folder) as server:
        yield server


# -- the network ---------------------------------------------------------------------------------


def refused():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{closed.getsockname()[1]}/a.root"


def asked_with_aiohttp(url, **options):
    async def ask():
        async with aiohttp.ClientSession() as session, session.get(url, **options) as answer:
            return await answer.read()

    return asyncio.run(ask())


def asked_with_requests(url, **options):
    timeout = options.get("timeout", PATIENCE_S)
    with requests.Session() as session, session.get(url, timeout=timeout) as answer:
        answer.raise_for_status()
        return answer.content


def asked_with_urllib(url, **options):
    try:
        with urllib.request.urlopen(url, timeout=options.get("timeout", PATIENCE_S)) as answer:  # noqa: S310
            return answer.read()
    except urllib.error.HTTPError as error:
        error.close()  # it is an answer as well
        raise


def asked_with_urllib3(url, **options):
    with urllib3.PoolManager() as pool:
        return pool.request("GET", url, retries=False, **options).data


@provokes("connection")
@pytest.mark.parametrize(
    ("name", "fault", "ask"),
    [
        ("ConnectionError", "reset", asked_with_urllib),
        ("aiohttp.ClientConnectionError", "hangup", asked_with_aiohttp),
        ("aiohttp.ClientPayloadError", "cut", asked_with_aiohttp),
        ("http.client.IncompleteRead", "cut", asked_with_urllib),
        ("requests.ConnectionError", "reset", asked_with_requests),
        ("requests.ChunkedEncodingError", "chunked", asked_with_requests),
        ("urllib3.ProtocolError", "cut", asked_with_urllib3),
    ],
)
def test_connections_that_end(server, name, fault, ask):
    assert name in RULES["connection"].errors
    server.fault = lambda *_: fault
    with pytest.raises((OSError, http.client.HTTPException, urllib3.exceptions.HTTPError,
                        aiohttp.ClientError)) as caught:  # fmt: skip
        ask(f"{server.url}/a.root")
    assert is_called(caught.value, name)
    assert classify_error(caught.value).rule == "connection"


@pytest.mark.parametrize("ask", [count, asked_with_aiohttp, asked_with_requests, asked_with_urllib])
def test_connections_that_are_refused(ask):
    assert rule_of(ask, refused()) == "connection"


@pytest.mark.parametrize("fault", ["reset", "hangup", "cut"])
def test_connections_that_end_while_a_column_is_read(server, fault):
    def break_off():
        server.fault = lambda *_: fault

    assert rule_of(read, f"{server.url}/a.root", before=break_off) == "connection"


@provokes("timeout")
@pytest.mark.parametrize(
    ("name", "ask"),
    [
        ("TimeoutError", asked_with_urllib),
        ("TimeoutError", asked_with_aiohttp),
        ("requests.Timeout", asked_with_requests),
        ("urllib3.TimeoutError", asked_with_urllib3),
    ],
)
def test_servers_that_stall(server, name, ask):
    assert name in RULES["timeout"].errors
    server.fault = lambda *_: "stall"
    limit = aiohttp.ClientTimeout(sock_read=0.2) if ask is asked_with_aiohttp else 0.2
    with pytest.raises(Exception) as caught:  # noqa: PT011
        ask(f"{server.url}/a.root", timeout=limit)
    classes = {name, "requests.ConnectionError"}  # what requests makes of a body that stalls
    assert any(is_called(caught.value, name) for name in classes)
    assert classify_error(caught.value).kind == "transient"


def test_other_timeouts():
    assert rule_of(asyncio.run, asyncio.wait_for(asyncio.sleep(PATIENCE_S), 0.01)) == "timeout"
    loop = fsspec.asyn.get_loop()
    assert rule_of(fsspec.asyn.sync, loop, asyncio.sleep, PATIENCE_S, timeout=0.01) == "timeout"
    mute, other = socket.socketpair()
    with mute, other:
        mute.settimeout(0.01)
        assert rule_of(mute.recv, 1) == "timeout"


@provokes("http-status")
@pytest.mark.parametrize("status", RULES["http-status"].statuses)
def test_servers_in_trouble(server, status):
    def get_into_trouble():
        server.fault = lambda *_: status

    url = f"{server.url}/a.root"
    assert rule_of(read, url, before=get_into_trouble) == "http-status"
    for ask in (count, asked_with_requests, asked_with_urllib):
        assert rule_of(ask, url) == "http-status"


@provokes("not-given")
@pytest.mark.parametrize("status", [404, 410, 401, 403])
def test_servers_that_will_not(server, status):
    def refuse():
        server.fault = lambda *_: status

    url = f"{server.url}/a.root"
    with pytest.raises(ReadingError) as caught:
        read(url, before=refuse)
    assert classify_error(caught.value).kind == "data"
    with pytest.raises(DatasetError) as caught:
        count(url)
    assert classify_error(caught.value).kind == "data"
    if status == 404:
        assert classify_error(caught.value).rule == "not-given"


@provokes("certificate")
def test_certificates_of_somebody_else(server, tmp_path):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(write_own_certificate(tmp_path / "server.pem"))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    assert rule_of(count, f"https://127.0.0.1:{server.server_port}/a.root") == "certificate"


# -- this machine and its C library --------------------------------------------------------------

ERRNOS = {number: rule for rule in TABLE for number in rule.errnos if number > 0}


@pytest.fixture(scope="module")
def calls(tmp_path_factory):
    """What kinds of errors a process with limits and faults of its own runs into."""
    folder = tmp_path_factory.mktemp("faults")
    shim, file = folder / "shim.so", tiny_files.write_tree_file(folder / HOSTILE, events=1000)
    source = FAULTS / "errno_shim.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", shim, source, "-ldl"], check=True)
    program = [sys.executable, FAULTS / "classify_calls.py", shim, file, *map(str, ERRNOS)]
    ran = subprocess.run(
        program,
        env=os.environ | {"LD_PRELOAD": str(shim)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


@provokes("network", "file-system", "open-files", "disk-full", "memory-system")
@pytest.mark.parametrize("number", ERRNOS, ids=errno.errorcode.get)
@pytest.mark.parametrize("call", ["open", "read"])
def test_what_the_system_says(calls, call, number):
    if (call, number) == ("read", errno.EAGAIN):
        assert "read 11" not in calls  # Python's files take it for "nothing yet"
        return
    kind, rule, told = calls[f"{call} {number}"]
    # some are classes of Python's as well, which have lines of their own
    assert kind == ERRNOS[number].kind, told
    assert rule in {ERRNOS[number].name, "timeout", "connection"}
    if kind != "data":
        assert ERRNOS[number].fix in told


@provokes("unknown-host", "name-server")
@pytest.mark.parametrize(
    ("answer", "rule"), [(-2, "unknown-host"), (-3, "name-server"), (-4, "name-server")]
)
def test_name_servers(calls, answer, rule):
    assert calls[f"name server {answer}"][:2] == [RULES[rule].kind, rule]


@provokes("memory", "memory-system", "disk-full", "open-files", "threads")
@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("numpy", "memory"),
        ("python", "memory"),
        ("mmap", "memory-system"),
        ("disk", "disk-full"),
        ("files", "open-files"),
        ("thread", "threads"),
    ],
)
def test_machines_that_run_out_of_something(calls, name, rule):
    assert calls[name][:2] == ["resource", rule]


# -- XRootD --------------------------------------------------------------------------------------


def numbers_in(rule):
    """The server's numbers in a pattern such as ``[30(03|05)]``."""
    found = re.search(r"\\\[30\((.*?)\)", RULES[rule].message)
    return [f"30{number}" for number in found[1].split("|")]


NUMBERS = {n: rule for rule in ("xrootd-server", "xrootd-refused") for n in numbers_in(rule)}
SITUATIONS = {
    "wait": "Operation expired",
    "loop": "Redirect limit",
    "nowhere": "Connection error",
    "hangup": "Socket error",
    "garbage": "Invalid message",
    "silent": "(Socket timeout|Operation expired)",
    "mute": "(Socket timeout|Operation expired)",
    "refused": "Connection error",
}


@pytest.fixture(scope="module")
def xrootd():
    """What becomes of files of an XRootD server, for the real client."""
    patience = {
        "XRD_REQUESTTIMEOUT": "3",
        "XRD_STREAMTIMEOUT": "3",
        "XRD_CONNECTIONWINDOW": "2",
        "XRD_CONNECTIONRETRY": "1",
        "XRD_STREAMERRORWINDOW": "0",
        "XRD_TIMEOUTRESOLUTION": "1",
        "XRD_REDIRECTLIMIT": "3",
    }
    with XRootDServer() as server, XRootDServer(greets=False) as mute:
        urls = {
            f"error/{number}": f"{server.url}//error/{number}/a.root"
            for number in range(3000, 3040)
        }
        urls |= {name: f"{server.url}//{name}/a.root" for name in SITUATIONS}
        urls |= {"mute": f"{mute.url}//a.root", "refused": "root://127.0.0.1:9//a.root"}
        ran = subprocess.run(
            [sys.executable, FAULTS / "classify_urls.py", *urls.values()],
            env=os.environ | patience,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
    assert ran.returncode == 0, ran.stderr
    answers = json.loads(ran.stdout)
    return {name: answers[url] for name, url in urls.items()}


@provokes("xrootd-server", "xrootd-refused")
@pytest.mark.parametrize("number", NUMBERS)
def test_what_an_xrootd_server_says(xrootd, number):
    kind, rule, why = xrootd[f"error/{number}"]
    assert f"[{number}]" in why
    assert (kind, rule) == (RULES[NUMBERS[number]].kind, NUMBERS[number])


@provokes("storage-unnamed")
def test_what_an_xrootd_server_says_and_nobody_knows(xrootd):
    kind, rule, _ = xrootd["error/3038"]
    assert (kind, rule) == ("transient", "storage-unnamed")


@provokes("xrootd-client")
@pytest.mark.parametrize("situation", SITUATIONS)
def test_what_an_xrootd_client_says(xrootd, situation):
    kind, rule, why = xrootd[situation]
    assert re.search(SITUATIONS[situation], why)
    assert (kind, rule) == ("transient", "xrootd-client")


WORDS = """
    Operation expired|Operation interrupted|Operation in progress|Socket error|Socket timeout
    |Socket disconnected|Stream disconnect|Connection error|Invalid session|Invalid address
    |Invalid redirect URL|Invalid response|Invalid message|Hand shake failed|Poll error|Poller error
    |TLS error|Unhandled redirect|Threshold exceeded|No more free SIDs|No more replicas to try
    |Redirect limit has been reached|Auth failed|Login failed|Resource not found
"""


@pytest.mark.parametrize("words", [word.strip() for word in WORDS.split("|")])
def test_words_that_the_xrootd_client_has(words):
    """Made by hand where no server can be had that makes the client say so; but its own words."""
    (library,) = Path(pyxrootd.__file__).parent.glob("libXrdCl.so.*.*.*")
    assert words.encode() in library.read_bytes()
    error = DatasetError("cannot be read", url="root://door.org//a.root")
    error.__cause__ = OSError(f"File did not open properly: [FATAL] {words}")
    lasting = words in {"Auth failed", "Login failed", "Resource not found"}
    expected = "xrootd-refused" if lasting else "xrootd-client"
    assert classify_error(error).rule == expected


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        ("[3011] No servers are available to read the file.", "xrootd-server"),
        ("[3012] Unable to open /a.root; stale file handle", "xrootd-server"),
    ],
)
def test_words_of_xrootd_servers_that_count_more_than_their_number(words, rule):
    error = DatasetError("cannot be read", url="root://door.org//a.root")
    error.__cause__ = OSError(f"[ERROR] Server responded with an error: {words}")
    assert classify_error(error).rule == rule


# -- files -----------------------------------------------------------------------------------------


@provokes("not-root", "tree-missing", "unreadable", "not-seen-here")
@pytest.mark.parametrize(
    ("write", "rule"),
    [
        (tiny_files.write_text_file, "not-root"),
        (tiny_files.write_empty_file, "not-root"),
        (tiny_files.write_truncated_file, "not-root"),
        (lambda path: tiny_files.write_trees_file(path, {}), "tree-missing"),
        (lambda path: tiny_files.write_trees_file(path, {"a": 1, "b": 2}), "tree-missing"),
        (tiny_files.write_damaged_file, "unreadable"),
        (lambda path: path, "not-seen-here"),
    ],
)
def test_files_that_are_wrong(tmp_path, write, rule):
    assert rule_of(count, write(tmp_path / HOSTILE)) == rule
    assert RULES[rule].kind == "data"


def test_a_path_that_may_not_be_read_here_may_be_elsewhere(tmp_path, no_privilege):
    path = tiny_files.write_tree_file(tmp_path / HOSTILE)
    path.chmod(0)
    with pytest.raises(DatasetError) as caught:
        count(path)
    verdict = classify_error(caught.value)
    assert (verdict.rule, verdict.elsewhere, verdict.may_pass) == ("not-seen-here", True, True)


def test_a_corrupt_basket(tmp_path):
    path = tiny_files.write_tree_file(tmp_path / HOSTILE, events=10_000, compression="zlib")

    def break_basket():
        data = bytearray(path.read_bytes())
        middle = data.index(b"ZL\x08") + 200
        data[middle : middle + 500] = b"\xff" * 500
        status = path.stat()
        path.write_bytes(data)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    assert rule_of(read, path, before=break_basket) == "unreadable"


@provokes("file-changed")
def test_files_that_are_not_what_was_planned(tmp_path):
    path = tiny_files.write_tree_file(tmp_path / HOSTILE, events=10)
    entry = count(path)
    tiny_files.write_tree_file(path, events=11)
    with pytest.raises(FileChangedError) as caught:
        TreePool().get(entry)
    assert classify_error(caught.value).rule == "file-changed"
    assert rule_of(count, path, entries=10) == "file-changed"


@provokes("short-read")
def test_a_file_that_lost_its_end_on_the_server(server):
    def cut():
        server.fault = lambda *_: "short"

    assert rule_of(read, f"{server.url}/a.root", before=cut) == "short-read"


@provokes("branch-missing", "wrong-use")
def test_branches_and_schemas_that_do_not_fit():
    """As the tests of reading raise them: by `explain_missing_column` and the schema's builder."""
    assert classify_error(ColumnNotFoundError("no Muon_pt")).rule == "branch-missing"
    assert classify_error(SchemaError("NanoAOD it is not")).rule == "wrong-use"


def test_a_column_asked_for_too_late(tmp_path):
    pool = TreePool()
    loader = ColumnLoader(pool.get(count(tiny_files.write_tree_file(tmp_path / HOSTILE))), 0, 9)
    loader.close()
    with pytest.raises(ChunkClosedError) as caught:
        loader.load("x")
    assert classify_error(caught.value).rule == "wrong-use"
    pool.close()


# -- processors and workers ------------------------------------------------------------------------


@provokes("anything-else")
@pytest.mark.parametrize(
    "error", [ZeroDivisionError(), KeyError("x"), FileNotFoundError("sf.json")]
)
def test_what_the_users_code_raises(error):
    verdict = classify_error(error)
    assert (verdict.kind, verdict.rule, verdict.may_pass) == ("processor", "anything-else", False)


def test_a_processor_whose_own_connection_fails():
    assert rule_of(asked_with_requests, refused()) == "connection"


@provokes("worker-died")
@pytest.mark.parametrize("error", [WorkerDiedError, WorkersLostError, PartialLostError])
def test_workers_that_died(error):
    assert classify_error(error("gone")).rule == "worker-died"


@provokes("killed-worker")
def test_a_task_that_dask_gave_up():
    import dask
    from distributed import Client, LocalCluster
    from distributed.scheduler import KilledWorker

    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        LocalCluster(
            n_workers=1, threads_per_worker=1, dashboard_address=":0", silence_logs=50
        ) as cluster,
        Client(cluster) as client,
    ):
        future = client.submit(os._exit, 1)
        with pytest.raises(KilledWorker) as caught:
            future.result(timeout=PATIENCE_S)
    verdict = classify_error(caught.value)
    assert (verdict.kind, verdict.rule) == ("worker", "killed-worker")


# -- the table itself ------------------------------------------------------------------------------


def test_every_line_is_provoked():
    assert set(RULES) == PROVOKED


def test_names_are_unique_and_words_are_there():
    assert len(RULES) == len(TABLE)
    assert all(rule.what and rule.fix for rule in TABLE)


def test_the_users_own_rules_come_first():
    rules = (ErrorRule(name="mine", kind="transient", errors=("ZeroDivisionError",)),)
    assert classify_error(ZeroDivisionError(), rules).rule == "mine"
    assert classify_error(ZeroDivisionError()).rule == "anything-else"


def test_the_first_line_that_holds_for_any_error_of_a_chain_decides():
    error = FileChangedError("replaced", url="https://door.org/a.root")
    error.__cause__ = ConnectionResetError()
    assert classify_error(error).rule == "file-changed"
    error = ValueError("a bug in what handles it")
    error.__context__ = ConnectionResetError()
    assert classify_error(error).rule == "connection"


def test_the_page_shows_the_table():
    page = (Path(__file__).parents[1] / "docs/reference/error-kinds.md").read_text("utf-8")
    rows = re.findall(r"^\| `([\w-]+)` \| (\w+) \| ([^|]+) \|", page, re.MULTILINE)
    assert rows == [(rule.name, rule.kind, rule.what) for rule in TABLE]
