import contextlib
import dataclasses
import os
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import dask
import psutil
import pytest
from dask.system import CPU_COUNT
from distributed import Client
from distributed.security import Security

from beampipe.errors import WorkersLostError
from beampipe.execution.worker_settings import list_unset, list_unset_of_scheduler
from beampipe.runs import embedded, fork_server
from beampipe.runs.embedded import embedded_client, find_dashboard_port
from beampipe.worker_environment import MALLOC, THREADS

MEMORY_BYTES = 700 * 2**20


@dataclasses.dataclass
class Scene:
    """A cluster at work, and what was there before it."""

    client: Client
    folder: str
    environment: dict
    taken: int
    others: set


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    folder = tmp_path_factory.mktemp("a tmp with space")
    with pytest.MonkeyPatch.context() as patch, socket.socket() as guest:
        patch.setenv("TMPDIR", str(folder))
        patch.setattr("tempfile.tempdir", None)
        patch.setattr(embedded, "_DASHBOARD_AFTER_S", 0.0)
        guest.bind(("127.0.0.1", 0))
        guest.listen()
        port = guest.getsockname()[1]
        patch.setattr(embedded, "_PORT", port)  # somebody has it, and nothing is said
        environment = dict(os.environ)
        others = {child.pid for child in children()}  # of other tests of this process
        with embedded_client(2, MEMORY_BYTES) as client:
            yield Scene(client, str(folder), environment, port, others)
        assert not [path for path in folder.iterdir() if not path.name.startswith("pymp-")]
        assert process_names(others) <= {"multiprocessing.resource_tracker"}
        names = {name for name in os.environ if not name.startswith("__DASK")}
        assert names == {name for name in environment if not name.startswith("__DASK")}


def children():
    return psutil.Process().children(recursive=True)


def process_names(others):
    mine = [child for child in children() if child.pid not in others]
    return {" ".join(child.cmdline()).split("from ")[-1].split(" import")[0] for child in mine}


def test_a_worker_is_a_process_with_one_thread(scene):
    assert list(scene.client.nthreads().values()) == [1, 1]
    pids = set(scene.client.run(os.getpid).values())
    assert len(pids) == 2
    assert os.getpid() not in pids


def test_a_worker_has_the_environment_for_reading(scene):
    for variables in scene.client.run(lambda: dict(os.environ)).values():
        assert MALLOC.items() <= variables.items()
        assert {variables[name] for name in THREADS} == {"1"}
        assert "BEAMPIPE_RUN" not in variables


def say_what_is_unset(dask_worker):
    return list_unset(dask_worker)


def test_a_worker_and_its_scheduler_lack_no_setting(scene):
    assert list_unset_of_scheduler(scene.client) == ()
    unset = scene.client.run(say_what_is_unset)
    assert set(unset.values()) == {()}


def test_workers_agree_on_the_order_of_sets(scene):
    assert len(set(scene.client.run(lambda: hash("a")).values())) == 1


def test_ctrl_c_does_not_reach_a_worker(scene):
    for pid in scene.client.run(os.getpid).values():
        os.kill(pid, signal.SIGINT)
    masks = scene.client.run(lambda: signal.pthread_sigmask(signal.SIG_BLOCK, ()))
    assert all(signal.SIGINT in mask for mask in masks.values())
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_the_memory_limit_is_passed_on(scene):
    info = scene.client.scheduler_info()["workers"]
    assert {worker["memory_limit"] for worker in info.values()} == {MEMORY_BYTES}


def test_scratch_is_below_tmpdir(scene):
    folders = scene.client.run(lambda dask_worker: dask_worker.local_directory)
    assert all(path.startswith(scene.folder) for path in folders.values())


def test_nothing_listens_to_other_machines(scene):
    mine = [child for child in children() if child.pid not in scene.others]
    processes = [psutil.Process(), *mine]
    listening = [
        connection.laddr.ip
        for process in processes
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert len(listening) >= 4  # scheduler, dashboard, workers, nannies
    assert set(listening) == {"127.0.0.1"}


def test_other_users_of_the_machine_cannot_send_code(scene):
    address = scene.client.scheduler.address
    assert address.startswith("tls://")
    with pytest.raises((OSError, TimeoutError)):
        Client(address, security=Security.temporary(), timeout="1s")


def test_the_dashboard_has_another_port_and_gets_its_pages(scene):
    link = scene.client.dashboard_link
    assert f":{scene.taken}/" not in link
    end = time.monotonic() + 20
    while True:
        try:
            page = urllib.request.urlopen(link, timeout=120).read().decode()  # noqa: S310
            break
        except urllib.error.HTTPError:  # not there yet
            assert time.monotonic() < end
            time.sleep(0.1)
    assert "Dask" in page
    root = link.removesuffix("status")
    for path in ("health", "info/main/workers.html", "statics/css/base.css", "metrics"):
        with urllib.request.urlopen(f"{root}{path}", timeout=120) as answer:  # noqa: S310
            assert answer.status == 200


def test_a_worker_that_dies_is_replaced(scene):
    victim = next(iter(scene.client.run(os.getpid).values()))
    os.kill(victim, signal.SIGKILL)
    psutil.wait_procs([psutil.Process(victim)] if psutil.pid_exists(victim) else [], 10)
    scene.client.wait_for_workers(2, timeout=120)
    end = time.monotonic() + 20
    pids = {victim}
    while victim in pids or len(pids) < 2:
        pids = set(scene.client.run(os.getpid, on_error="ignore").values())
        assert time.monotonic() < end
    masks = scene.client.run(lambda: signal.pthread_sigmask(signal.SIG_BLOCK, ()))
    assert all(signal.SIGINT in mask for mask in masks.values())


def test_the_main_module_is_hidden_meanwhile(scene):
    main = sys.modules["__main__"]
    assert main.__spec__ is None
    assert not hasattr(main, "__file__")


def test_without_a_fork_server_it_takes_longer(scene, monkeypatch):
    others = {child.pid for child in children()}
    monkeypatch.setattr(fork_server, "_start", lambda _: None)
    monkeypatch.setattr(embedded, "is_warm", lambda: False)
    main = sys.modules["__main__"]
    with (
        dask.config.set({"distributed.worker.multiprocessing-method": "spawn"}),
        embedded_client(1) as client,
    ):
        (pid,) = client.run(os.getpid).values()
        assert psutil.Process(pid).ppid() == os.getpid()
        (mask,) = client.run(lambda: signal.pthread_sigmask(signal.SIG_BLOCK, ())).values()
        assert signal.SIGINT in mask
    assert main.__spec__ is None  # the other cluster is still there
    assert process_names(others) <= {"multiprocessing.resource_tracker"}


def test_workers_that_do_not_start(monkeypatch):
    def refuse(**_):
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(embedded._Embedded, "start", refuse)
    with (
        pytest.raises(WorkersLostError, match="Resource temporarily unavailable"),
        embedded_client(CPU_COUNT),
    ):
        raise AssertionError("there is no client")


def test_an_interrupt_while_workers_start_ends_them(monkeypatch):
    ended = []

    class Started:
        client = None

        def close(self, *, at_once):
            ended.append(at_once)

    def start(**_):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.5)
        return Started()

    monkeypatch.setattr(embedded._Embedded, "start", start)
    with pytest.raises(KeyboardInterrupt), embedded_client(1):
        raise AssertionError("there is no client")
    assert ended == [True]


def test_a_free_dashboard_port(monkeypatch):
    with socket.socket() as guest:
        guest.bind(("127.0.0.1", 0))
        monkeypatch.setattr(embedded, "_PORT", guest.getsockname()[1])
        assert find_dashboard_port() == 0
    assert find_dashboard_port() == embedded._PORT


def test_runs_that_overlap_leave_settings_and_environment_as_they_were(monkeypatch):
    monkeypatch.setattr(embedded, "ENVIRONMENT", {"BEAMPIPE_OVERLAP": "1"})
    monkeypatch.setattr(embedded, "_surroundings_used_by", 0)
    monkeypatch.setattr(embedded, "_surroundings_kept", contextlib.ExitStack())
    before = dask.config.get("temporary-directory", None)
    routes = dask.config.get(embedded._ROUTES)
    first, second = embedded._surroundings(), embedded._surroundings()
    shared = first.__enter__()
    assert second.__enter__() is shared
    assert shared.routes == routes
    assert dask.config.get(embedded._ROUTES) == []
    scratch = shared.scratch
    first.__exit__(None, None, None)
    assert os.environ["BEAMPIPE_OVERLAP"] == "1"
    assert dask.config.get("temporary-directory") == scratch
    second.__exit__(None, None, None)
    assert "BEAMPIPE_OVERLAP" not in os.environ
    assert dask.config.get("temporary-directory", None) == before
    assert dask.config.get(embedded._ROUTES) == routes
    assert not Path(scratch).exists()
