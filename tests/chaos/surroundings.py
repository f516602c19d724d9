"""Disks that fill up, networks that fail."""

import contextlib
import shutil
import time
import urllib.parse
from dataclasses import replace

from tests.chaos.checking import check
from tests.chaos.clusters import BARE, NANNY, QUICK, Separate
from tests.chaos.data import FILES
from tests.chaos.network import Network
from tests.chaos.nursery import wait_until
from tests.chaos.scenarios import scenario


@scenario("disk full", kinds=(BARE, "embedded"))
def disk_full(stage):
    """The run directory on a disk that somebody fills in mid-run; space is made, and resume."""
    disk = stage.mount("2m")
    driver = stage.drive()
    stage.wait_for_random_chunk(1, 40)
    fill(disk)
    told = driver.must_end("run-storage", "complete")
    (disk / "filler").unlink()
    if told["ended"] != "complete":
        assert "the disk is full" in told["why"], told
        stage.resume().must_end("complete")
    return check(stage)


def fill(disk):
    """Take the last byte."""
    with contextlib.suppress(OSError), (disk / "filler").open("wb", 0) as file:
        while True:
            file.write(b"\0" * 4096)
    assert shutil.disk_usage(disk).free == 0


@scenario("run directory read-only", kinds=(BARE, "embedded"))
def disk_read_only(stage):
    """The run directory's file system becomes read-only in mid-run, writable again for resume."""
    stage.mount("8m")
    driver = stage.drive()
    stage.wait_for_random_chunk(1, 40)
    wait_until(lambda: is_remounted(stage, "ro") or not driver.child.is_running, "it is read-only")
    told = driver.must_end("run-storage", "complete")
    stage.remount("rw")
    if told["ended"] != "complete":
        assert "read-only" in told["why"], told
        stage.resume().must_end("complete")
    return check(stage)


def is_remounted(stage, options):
    """Try; while a file is being written it cannot be done."""
    import subprocess

    with contextlib.suppress(subprocess.CalledProcessError):
        stage.remount(options)
        return True
    return False


@scenario("link cut", kinds=(BARE,))
def link_cut(stage):
    """A worker in a network namespace loses its link for good; its host is given up after 10 s."""
    with on_a_network(stage) as network:
        driver = stage.drive()
        stage.wait_for_random_chunk(2)
        cut(stage, network)
        driver.must_end("complete")
        return check(stage)


@scenario("link cut and mended", kinds=(BARE,))
def link_cut_and_mended(stage):
    """The same for one to four seconds."""
    with on_a_network(stage) as network:
        driver = stage.drive()
        stage.wait_for_random_chunk(2)
        number = cut(stage, network)
        time.sleep(stage.rng.uniform(1, 4))
        network.mend(number)
        stage.prolong_blow()
        driver.must_end("complete")
        return check(stage)


@contextlib.contextmanager
def on_a_network(stage):
    """A scheduler here and two workers on hosts of their own."""
    with Network(2) as network:
        stage.cluster = Separate(
            stage.nursery,
            stage.folder / "cluster",
            n_workers=0,
            host=network.address,
            environment=QUICK,
        )
        try:
            stage.cluster.start()
            for number in range(2):
                stage.cluster.add_worker(netns=network.path(number))
            stage.cluster.n_workers = 2
            yield network
        finally:
            for driver in stage.drivers:
                driver.child.end()
            stage.cluster.end()


def cut(stage, network):
    number = stage.rng.randrange(2)
    pid = stage.cluster.workers[number].pid
    network.cut(number)
    stage.blow((pid,))
    stage.blows[-1] = replace(stage.blows[-1], goes_on=True)
    return number


@scenario("transient errors of a server", kinds=(BARE, NANNY))
def flaky_server(stage):
    """A web server fails two requests of a hundred (500, 503, reset, cut short) from the first
    chunk on; `on_error="skip"`, and resume if chunks had to be left out."""
    server = stage.nursery.start(
        "tests.chaos.flaky_server:main",
        [stage.data, stage.rng.random()],
        stage.folder / "server.log",
    )
    stage.stack.callback(server.end)
    port = (
        wait_until((stage.folder / "port").exists, "the server listens")
        and (stage.folder / "port").read_text()
    )
    stage.fileset = {
        dataset: [
            f"http://127.0.0.1:{port}/{urllib.parse.quote(name)}"
            for name in FILES
            if name.startswith(dataset)
        ]
        for dataset in ("A", "B")
    }
    driver = stage.drive(on_error="skip")
    stage.wait_for_chunks(1)
    (stage.folder / "rate").write_text("0.02")
    told = driver.must_end("complete", "incomplete")
    if told["ended"] == "incomplete":
        check(stage, holes=True, is_bounded=False)
        (stage.folder / "rate").write_text("0")
        stage.notes.append("chunks were left out, and resumed")
        stage.resume(on_error="skip").must_end("complete")
    return check(stage, is_bounded=False)
