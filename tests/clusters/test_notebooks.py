"""Notebooks on this host and as jobs, with a kernel that runs a cell."""

from __future__ import annotations

import json
import ssl
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest

from beampipe.clusters.notebooks import (
    find_notebook,
    list_notebooks,
    look_at,
    open_notebook,
    stop_notebook,
)
from beampipe.clusters.site_files import load_site
from beampipe.errors import (
    BatchRefusedError,
    ClusterExistsError,
    ClusterNameError,
    ClusterStartError,
    ClusterUnknownError,
)

PATIENCE_S = 120


@pytest.fixture(autouse=True)
def state(fake_slurm):
    """The fakes' folders; no notebook outlives the test."""
    yield
    for book in list_notebooks():
        stop_notebook(book)


@pytest.fixture
def slurm():
    return load_site("slurm", memory="1 GiB")


def alive(fake):
    with fake.open() as jobs:
        return [job.job_id for job in jobs.values() if job.state != "ended"]


def ask(book, path, data=None, token=None):
    """Ask the server, as a browser would that has the token."""
    way = book.describe()
    protocol = way["url"].partition(":")[0]
    token = (book.folder / "token").read_text() if token is None else token
    trusted = ssl.create_default_context(cafile=str(book.folder / "certificate.pem"))
    trusted.check_hostname = False
    request = urllib.request.Request(  # noqa: S310 (the test's own server)
        f"{protocol}://127.0.0.1:{way['port']}/{path}",
        data=None if data is None else json.dumps(data).encode(),
        headers={"Authorization": f"token {token}"},
        method="GET" if data is None else "POST",
    )
    context = trusted if protocol == "https" else None
    with urllib.request.urlopen(request, timeout=120, context=context) as answer:  # noqa: S310
        return json.loads(answer.read())


@pytest.mark.parametrize("where", ["here", "slurm"])
def test_a_notebook_runs_a_kernel_until_it_is_stopped(where, slurm, fake_slurm, tmp_path):
    told = []
    site = slurm if where == "slurm" else None
    book = open_notebook("my-analysis", site, work=tmp_path, say=told.append)
    assert told
    assert look_at(book) == "running"
    way = book.describe()
    assert way["tunnel"].startswith(f"ssh -N -L {way['port']}:")
    assert way["url"].startswith("https://" if site else "http://")
    assert "version" in ask(book, "api")
    kernel = ask(book, "api/kernels", {"name": "python3"})
    assert [each["id"] for each in ask(book, "api/kernels")] == [kernel["id"]]
    with pytest.raises(urllib.error.HTTPError, match="403"):
        ask(book, "api/kernels", token="wrong")  # noqa: S106

    secret = (book.folder / "token").read_text()
    for process in psutil.process_iter(["cmdline"]):
        assert secret not in " ".join(process.info["cmdline"] or [])
    assert not [p for p in book.folder.glob("*.sh") if secret in p.read_text()]
    assert (book.folder / "token").stat().st_mode & 0o777 == 0o600

    assert find_notebook(None) == find_notebook("my-analysis") == book
    with pytest.raises(ClusterExistsError, match="there already"):
        open_notebook("my-analysis", None, work=tmp_path)
    stop_notebook(book)
    assert list_notebooks() == []
    give_up = time.monotonic() + PATIENCE_S
    while alive(fake_slurm) or psutil.pid_exists(book.owner.get("pid", 2**22)):
        assert time.monotonic() < give_up
        time.sleep(0.05)


def test_one_whose_job_ends_is_told_with_what_it_wrote(fake_slurm, tmp_path):
    broken = load_site("slurm", prologue=["echo no module named lab >&2; exit 3"])
    with pytest.raises(ClusterStartError, match="no module named lab"):
        open_notebook("x", broken, work=tmp_path)
    assert list_notebooks() == []
    assert alive(fake_slurm) == []


def test_a_queue_that_refuses_is_heard(slurm, fake_slurm, tmp_path):
    fake_slurm.change(refuse="Invalid account")
    with pytest.raises(BatchRefusedError, match="Invalid account"):
        open_notebook("x", slurm, work=tmp_path)
    assert list_notebooks() == []


def test_a_notebook_that_died_is_seen_to_have_ended(tmp_path):
    book = open_notebook("x", None, work=tmp_path)
    psutil.Process(book.owner["pid"]).kill()
    give_up = time.monotonic() + PATIENCE_S
    while look_at(book) != "ended":
        assert time.monotonic() < give_up
        time.sleep(0.05)


def test_what_cannot_be_found_or_named(tmp_path):
    with pytest.raises(ClusterNameError):
        open_notebook("a b", None, work=tmp_path)
    with pytest.raises(ClusterUnknownError, match="none"):
        find_notebook(None)
    with pytest.raises(ClusterUnknownError, match="'x'"):
        find_notebook("x")
    assert not list(Path(tmp_path).glob("state*/beampipe/notebooks/*"))
