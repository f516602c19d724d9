"""Which way HTCondor is asked, and what becomes of a queue that takes the call and is silent."""

from __future__ import annotations

import asyncio
import importlib.util
import socket
import sys
import time

import pytest

from beampipe.batch.htcondor import HTCondor
from beampipe.batch.htcondor_bindings import HTCondorBindings
from beampipe.batch.registry import DIALECTS
from beampipe.clusters import condor_bindings
from beampipe.clusters.batch_queue import run_command
from beampipe.clusters.condor_bindings import choose_dialect, explain_missing
from beampipe.clusters.site_files import load_site
from beampipe.clusters.worker_job import find_dialect
from beampipe.errors import BatchOutputError

needs_bindings = pytest.mark.skipif(
    importlib.util.find_spec("htcondor2") is None and not sys.platform.startswith("linux"),
    reason="HTCondor has bindings for Linux only",
)


@pytest.fixture
def checked(monkeypatch):
    """Bindings that are there; what their check says can be set."""
    said = ["25.14.1", ""]
    monkeypatch.setattr(condor_bindings, "find_spec", lambda _: object())
    monkeypatch.setattr(condor_bindings, "_check_bindings", lambda _: tuple(said))
    return said


def test_bindings_that_work_are_used(checked):
    found = choose_dialect("htcondor")
    assert found == HTCondorBindings(python=sys.executable, version="25.14.1")


def test_without_bindings_or_where_they_do_not_work_the_commands_are_used(checked, monkeypatch):
    checked[:] = ["", "Unable to locate local daemon"]
    assert choose_dialect("htcondor") == HTCondor()
    checked[:] = ["25.14.1", ""]
    monkeypatch.setattr(condor_bindings, "find_spec", lambda _: None)
    assert choose_dialect("htcondor") == HTCondor()


def test_a_site_can_say_that_the_commands_are_to_be_used(checked, monkeypatch):
    assert isinstance(find_dialect(load_site("htcondor")), HTCondorBindings)
    assert find_dialect(load_site("htcondor", use_bindings=False)) == HTCondor()
    assert find_dialect(load_site("htcondor", directives=["-spool"])) == HTCondor()
    assert isinstance(find_dialect(load_site("htcondor", directives=["+A = 1"])), HTCondorBindings)
    monkeypatch.setenv("BEAMPIPE_SITE_USE_BINDINGS", "false")
    assert find_dialect(load_site("htcondor")) == HTCondor()


def test_what_is_missing_is_said_of_both_ways(checked, monkeypatch):
    assert explain_missing(DIALECTS["slurm"], ["sbatch", "squeue"]) == "not on PATH: sbatch, squeue"
    checked[:] = ["", "Unable to locate local daemon"]
    said = explain_missing(HTCondor(), ["condor_q"])
    assert said == "not on PATH: condor_q; its Python bindings: Unable to locate local daemon"
    checked[:] = ["25.14.1", ""]
    assert "not to be used" in explain_missing(HTCondor(), ["condor_q"])
    monkeypatch.setattr(condor_bindings, "find_spec", lambda _: None)
    assert "beampipe[htcondor]" in explain_missing(HTCondor(), ["condor_q"])


def test_no_other_system_has_bindings(checked):
    assert choose_dialect("slurm") is DIALECTS["slurm"]
    assert choose_dialect("no such") is None


@pytest.fixture
def silent_queue(tmp_path, monkeypatch):
    """A configuration of HTCondor, whose pool takes calls and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        config = tmp_path / "condor_config"
        config.write_text(
            f"SCHEDD_HOST = queue.example\nCOLLECTOR_HOST = 127.0.0.1:{server.getsockname()[1]}\n"
            "NETWORK_INTERFACE = 127.0.0.1\n"
        )
        monkeypatch.setenv("CONDOR_CONFIG", str(config))
        yield server


@needs_bindings
def test_a_silent_queue_does_not_stop_whoever_asks(silent_queue):
    """Called in this process, in a thread, the bindings would keep Python's lock for 20 seconds."""

    async def story():
        command = HTCondorBindings(python=sys.executable).status(user="me")
        asking = asyncio.ensure_future(run_command(command))
        called, _ = await asyncio.get_running_loop().sock_accept(silent_queue)
        for _ in range(20):
            await asyncio.sleep(0.01)
        assert not asking.done()  # it waits; we do not
        asking.cancel()
        await asyncio.wait([asking])
        called.close()

    asyncio.run(asyncio.wait_for(story(), 60))


@needs_bindings
def test_a_silent_queue_is_told_as_a_command_that_hangs(silent_queue):
    command = HTCondorBindings(python=sys.executable).status(user="me")
    limited = type(command)(command.argv, title=command.title, timeout_s=1.0)
    with pytest.raises(BatchOutputError, match=r"bindings.* gave no answer") as error:
        asyncio.run(run_command(limited))
    assert error.value.why == "it had 1 s"


@needs_bindings
def test_bindings_whose_queue_is_silent_are_not_used(silent_queue, monkeypatch):
    monkeypatch.setattr(condor_bindings, "_CHECK_S", 1.0)
    condor_bindings._check_bindings.cache_clear()
    begin = time.monotonic()
    assert choose_dialect("htcondor") == HTCondor()
    assert time.monotonic() - begin < 18
    condor_bindings._check_bindings.cache_clear()


@needs_bindings
def test_bindings_without_a_configuration_are_not_used(tmp_path, monkeypatch):
    monkeypatch.setenv("CONDOR_CONFIG", "/dev/null")
    condor_bindings._check_bindings.cache_clear()
    version, why = condor_bindings._check_bindings("/dev/null")
    assert (version, bool(why)) == ("", True)
    assert choose_dialect("htcondor") == HTCondor()
