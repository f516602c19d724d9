"""Real batch systems for tests: each started once, by whoever needs it first, for all workers."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.farms import htcondor, oar, sge, slurm
from tests.farms.farm import Farm, read_farm
from tests.farms.telling import Telling

collect_ignore_glob = [
    "*_stories.py",
    "*_story.py",
    "storytelling.py",
    "gateway_config.py",
    "hub_config.py",
    "slow_processor.py",
]  # programs

HERE = Path(__file__).parent
SYSTEMS = {"slurm": slurm, "htcondor": htcondor, "sge": sge, "oar": oar}
# What takes minutes begins first, on a worker of pytest's own each.
LONGEST = ("test_walltime.py", "test_packed_environments.py", "test_blind_workers.py")
N_COMPUTING = 2
"""Workers of pytest that begin with tests that compute, beside those that mostly wait."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have some of pytest's workers begin with what is told to farms, which mostly waits for them.

    All others compute meanwhile. Of n workers each has an n-th of the list (`--dist worksteal`).
    """
    count = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    ours = [item for item in items if item.path.parent == HERE]
    if count == 1 or not ours:
        return
    others = [item for item in items if item.path.parent != HERE]
    waiting = max(count - N_COMPUTING, 1) if others else count
    shares = _share(ours, waiting)
    arranged: list[pytest.Item] = []
    for number in range(count):
        size = (len(items) - len(arranged)) // (count - number)
        share = shares[number] if number < waiting else []
        n_more = max(size - len(share), 0)
        arranged += [*share, *others[:n_more]]
        del others[:n_more]
    items[:] = [*arranged, *others]


def _share(items: list[pytest.Item], count: int) -> list[list[pytest.Item]]:
    """Cut tests into so many pieces of about the same number, the longest at the beginnings."""
    longest = [[item for item in items if item.path.name == name] for name in LONGEST]
    shares: list[list[pytest.Item]] = [[] for _ in range(count)]
    for number, some in enumerate(longest):
        shares[number % count] += some
    rest = [item for item in items if item.path.name not in LONGEST]
    for number, share in enumerate(shares):
        n_more = len(rest) // (count - number)
        share.extend(rest[:n_more])
        del rest[:n_more]
    return shares


@contextlib.contextmanager
def shared_farm(system: str, session: str) -> Iterator[Farm]:
    """Start a farm, or use the one that another worker of pytest has started.

    Whoever leaves last stops it. A user that died without leaving is not counted.
    """
    # Not below pytest's own folder, whose path is longer than a socket's may be.
    folder = Path(tempfile.gettempdir()) / f"bpf-{session}-{system}"
    folder.mkdir(exist_ok=True)
    users = folder / "users"
    users.mkdir(exist_ok=True)
    with _locked(folder):
        farm = read_farm(folder / "f")
        if farm is not None and not _is_used(users):
            # Whoever used it last died. Only a farm that all sessions share can be found so.
            SYSTEMS[system].stop(farm)
            shutil.rmtree(folder / "f")
            farm = None
        if farm is None:
            try:
                farm = SYSTEMS[system].start(folder / "f")
            except BaseException:
                if broken := read_farm(folder / "f"):
                    SYSTEMS[system].stop(broken)
                raise
        (users / str(os.getpid())).touch()
    try:
        yield farm
    finally:
        with _locked(folder):
            (users / str(os.getpid())).unlink()
            last = not _is_used(users)
            if last:
                SYSTEMS[system].stop(farm)
        if last:
            shutil.rmtree(folder, ignore_errors=True)


def _is_used(users: Path) -> bool:
    return any(Path(f"/proc/{user.name}").exists() for user in users.iterdir())


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    system = folder.name.rpartition("-")[2]
    with folder.with_name(f"bpf-{system}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def need(system: str) -> None:
    module = SYSTEMS[system]
    reason = ""
    if os.geteuid() != 0:
        reason = "real farms are started by root"
    elif not module.is_installed():
        reason = f"{system} is not installed: tests/farms/install.sh"
    if reason and os.environ.get("CI") == "true":
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)


@pytest.fixture(scope="session")
def session_name(request) -> str:
    """What all workers of one pytest run have in common."""
    uid = getattr(request.config, "workerinput", {}).get("testrunuid") or str(os.getpid())
    return uid[:8]


@pytest.fixture(scope="session")
def slurm_farm(session_name) -> Iterator[Farm]:
    """A real Slurm: three nodes with two cores each, accounting on."""
    need("slurm")
    with shared_farm("slurm", session_name) as farm:
        yield farm


@pytest.fixture(scope="session")
def htcondor_farm(session_name) -> Iterator[Farm]:
    """A real HTCondor pool: two nodes with four cores each."""
    need("htcondor")
    with shared_farm("htcondor", session_name) as farm:
        yield farm


@pytest.fixture(scope="session")
def sge_farm(session_name) -> Iterator[Farm]:
    """A real Grid Engine: this machine is its one node, with eight cores."""
    need("sge")
    with shared_farm("sge", session_name) as farm:
        yield farm


@pytest.fixture(scope="session")
def oar_farm() -> Iterator[Farm]:
    """A real OAR: this machine is its one node, with eight cores.

    All sessions on a machine share it, since its configuration is in /etc.
    """
    need("oar")
    with shared_farm("oar", "all") as farm:
        yield farm


@contextlib.contextmanager
def new_farm(system: str, **size: int) -> Iterator[Farm]:
    """A farm that a test may spoil, with so many nodes, cores and so on."""
    need(system)
    with tempfile.TemporaryDirectory(prefix="bpf-", ignore_cleanup_errors=True) as folder:
        farm = SYSTEMS[system].start(Path(folder), **size)
        try:
            yield farm
        finally:
            SYSTEMS[system].stop(farm)


@pytest.fixture
def farm(request) -> Farm:
    """The farm of the system that a test names."""
    return request.getfixturevalue(f"{request.param}_farm")


@pytest.fixture
def tell_on(request) -> Iterator[Callable[..., dict[str, Any]]]:
    """Tells a story on several farms at a time, since most of it is waiting; by system."""
    with contextlib.ExitStack() as stack:

        def tell_story(
            story: str, *systems: str, environments: Mapping[str, Mapping[str, str]] | None = None
        ) -> dict[str, Any]:
            farms = [request.getfixturevalue(f"{system}_farm") for system in systems]
            own = environments or {}
            told = [
                stack.enter_context(Telling(farm, story, environment=own.get(farm.system, {})))
                for farm in farms
            ]
            return {farm.system: each.end() for farm, each in zip(farms, told, strict=True)}

        yield tell_story
