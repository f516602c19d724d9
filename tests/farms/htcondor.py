"""A real HTCondor pool on one machine: a queue here, and execute nodes; all under one folder."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
from pathlib import Path

from tests.farms.daemons import Daemons, free_port, run, wait_until
from tests.farms.farm import Farm, make_user
from tests.farms.nodes import make_nodes, remove_nodes

PREFIX = Path("/var/tmp/beampipe-farms/htcondor")
_DAEMON_USER = "daemon"


def is_installed() -> bool:
    """Whether `install-htcondor.sh` has been here."""
    return (PREFIX / "ready").exists()


def start(folder: Path, *, nodes: int = 2, cpus: int = 4, memory_mib: int = 4000) -> Farm:
    """Start it; nodes may claim more than the machine has.

    Parameters
    ----------
    folder : Path
        Empty or new.
    nodes, cpus, memory_mib : int
        How many execute nodes, and what each claims to have.
    """
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    make_user(folder)
    network = make_nodes(nodes)
    programs = f"{PREFIX}/root/usr/bin:{PREFIX}/root/usr/sbin"
    config = folder / "head.conf"
    environment = {
        "CONDOR_CONFIG": str(config),
        "PATH": f"{programs}:{os.environ.get('PATH', '/usr/bin:/bin')}",
        # By its commands, unless a test says otherwise.
        "BEAMPIPE_SITE_USE_BINDINGS": "false",
    }
    farm = Farm("htcondor", folder, network, environment)
    farm.write()
    port = free_port(network.host)
    daemons = Daemons(folder)
    head = _configuration(farm, "head", port, network.host)
    config.write_text(f"{head}DAEMON_LIST = MASTER, COLLECTOR, NEGOTIATOR, SCHEDD\n")
    master = f"{PREFIX}/root/usr/sbin/condor_master"
    daemons.start("head", [master, "-f"], os.environ | environment)
    for node in range(1, nodes + 1):
        config = folder / f"n{node}.conf"
        size = f"NUM_CPUS = {cpus}\nMEMORY = {memory_mib}\n"
        body = _configuration(farm, f"n{node}", port, network.address(node))
        config.write_text(f"{body}{size}DAEMON_LIST = MASTER, STARTD\n")
        env = os.environ | environment | {"CONDOR_CONFIG": str(config)}
        daemons.start(f"n{node}", network.inside(node, master, "-f"), env)
    wait_until(lambda: _is_ready(farm), f"{nodes} HTCondor nodes and a queue; see {folder}")
    return farm


def stop(farm: Farm) -> None:
    """End it; the masters end their daemons, and those the jobs."""
    Daemons(farm.folder).stop(signal.SIGQUIT)
    remove_nodes(farm.nodes)
    shutil.rmtree(farm.folder / "head", ignore_errors=True)


def _is_ready(farm: Farm) -> bool:
    env = os.environ | farm.environment
    seen = run("condor_status", "-af", "Name", env=env, check=False).split()
    queue = farm.run("condor_q", "-af", "ClusterId")
    return len(seen) == farm.nodes.count and queue.returncode == 0


def _configuration(farm: Farm, name: str, port: int, address: str) -> str:
    local = farm.folder / name
    user = pwd.getpwnam(_DAEMON_USER)
    for part in ("log", "lock", "spool", "execute", "credentials"):
        (local / part).mkdir(parents=True, exist_ok=True)
        os.chown(local / part, user.pw_uid, user.pw_gid)
    os.chown(local, user.pw_uid, user.pw_gid)
    return f"""\
CONDOR_IDS = {user.pw_uid}.{user.pw_gid}
RELEASE_DIR = {PREFIX}/root/usr
BIN = $(RELEASE_DIR)/bin
SBIN = $(RELEASE_DIR)/sbin
LIB = $(RELEASE_DIR)/lib
LIBEXEC = $(RELEASE_DIR)/libexec/condor
SHARE = $(RELEASE_DIR)/share/condor
LOCAL_DIR = {local}
LOG = {local}/log
LOCK = {local}/lock
RUN = {local}/lock
SPOOL = {local}/spool
EXECUTE = {local}/execute
SEC_CREDENTIAL_DIRECTORY = {local}/credentials
LOCAL_CONFIG_DIR =
CONDOR_HOST = {farm.nodes.host}
COLLECTOR_HOST = {farm.nodes.host}:{port}
NETWORK_INTERFACE = {address}
NO_DNS = True
DEFAULT_DOMAIN_NAME = farm
UID_DOMAIN = farm
FILESYSTEM_DOMAIN = farm
TRUST_UID_DOMAIN = True
USE_SHARED_PORT = False
# One machine, one owner: who is on its bridge may do anything.
SEC_DEFAULT_AUTHENTICATION = OPTIONAL
SEC_DEFAULT_AUTHENTICATION_METHODS = FS, CLAIMTOBE
SEC_DEFAULT_ENCRYPTION = OPTIONAL
SEC_DEFAULT_INTEGRITY = OPTIONAL
ALLOW_READ = *
ALLOW_WRITE = *
ALLOW_ADMINISTRATOR = *
ALLOW_NEGOTIATOR = *
ALLOW_DAEMON = *
NUM_SLOTS = 1
NUM_SLOTS_TYPE_1 = 1
SLOT_TYPE_1 = 100%
SLOT_TYPE_1_PARTITIONABLE = True
START = True
SUSPEND = False
PREEMPT = False
KILL = False
BASE_CGROUP =
use POLICY : HOLD_IF_MEMORY_EXCEEDED
RUNBENCHMARKS = False
# As quick as it gets.
NEGOTIATOR_INTERVAL = 2
NEGOTIATOR_MIN_INTERVAL = 1
NEGOTIATOR_CYCLE_DELAY = 1
SCHEDD_INTERVAL = 2
SCHEDD_MIN_INTERVAL = 1
UPDATE_INTERVAL = 5
STARTER_UPDATE_INTERVAL = 2
PERIODIC_EXPR_INTERVAL = 2
# A node that goes without a word is waited for so long, and not forty minutes.
JOB_DEFAULT_LEASE_DURATION = 20
KILLING_TIMEOUT = 5
"""
