"""A real Slurm on one machine: several nodes, accounting on, everything under one folder."""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import socket
from pathlib import Path

from tests.farms.daemons import Daemons, free_port, run, wait_until
from tests.farms.farm import Farm, make_user
from tests.farms.nodes import make_nodes, remove_nodes

PROGRAMS = ("munged", "slurmctld", "slurmd", "squeue", "slurmdbd", "mariadbd")


def is_installed() -> bool:
    """Whether its programs are there."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/bin"
    return all(shutil.which(program, path=path) for program in PROGRAMS)


def start(folder: Path, *, nodes: int = 3, cpus: int = 2, memory_mib: int = 4000) -> Farm:
    """Start it; nodes may claim more than the machine has.

    Parameters
    ----------
    folder : Path
        Empty or new, and short: sockets stand in it.
    nodes, cpus, memory_mib : int
        How many nodes, and what each claims to have.
    """
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    make_user(folder)
    network = make_nodes(nodes)
    config = folder / "slurm.conf"
    farm = Farm("slurm", folder, network, {"SLURM_CONF": str(config)})
    farm.write()
    env = os.environ | farm.environment
    daemons = Daemons(folder)
    _start_munge(folder, daemons)
    database_port = _start_database(folder, daemons)
    ports = {name: str(free_port(network.host)) for name in ("ctld", "dbd", "d")}
    _write_accounting(folder, database_port, ports)
    config.write_text(_configuration(farm, ports, cpus=cpus, memory_mib=memory_mib))
    for place in ("state", *(f"spool-n{node}" for node in range(1, nodes + 1))):
        (folder / place).mkdir(exist_ok=True)
    daemons.start("slurmdbd", ["slurmdbd", "-D"], env)
    wait_until(lambda: _answers("sacctmgr", "-n", "list", "cluster", env=env), "slurmdbd")
    run("sacctmgr", "-i", "add", "cluster", "farm", env=env)
    daemons.start("slurmctld", ["slurmctld", "-D"], env)
    for node in range(1, nodes + 1):
        daemons.start(f"n{node}", network.inside(node, "slurmd", "-D", "-N", f"n{node}"), env)
    wait_until(lambda: _count_idle(env) == nodes, f"{nodes} idle Slurm nodes; see {folder}")
    return farm


def stop(farm: Farm) -> None:
    """Cancel what runs, then end the daemons. A job outlives the daemon of its node."""
    env = os.environ | farm.environment
    jobs = run("squeue", "-h", "-o", "%A", env=env, check=False).split()
    if jobs:
        run("scancel", *sorted(set(jobs)), env=env, check=False)
        run("scancel", "--signal=KILL", *sorted(set(jobs)), env=env, check=False)
        with contextlib.suppress(TimeoutError):
            wait_until(lambda: not run("squeue", "-h", env=env, check=False), "jobs to end", 10)
    Daemons(farm.folder).stop()
    remove_nodes(farm.nodes)


def _answers(*argv: str, env: dict[str, str]) -> bool:
    try:
        run(*argv, env=env)
    except RuntimeError:
        return False
    return True


def _count_idle(env: dict[str, str]) -> int:
    command = ("sinfo", "-h", "-N", "-t", "idle", "-p", "batch", "-o", "%N")
    return len(set(run(*command, env=env, check=False).split()))


def _start_munge(folder: Path, daemons: Daemons) -> None:
    user = pwd.getpwnam("munge")
    own = folder / "munge"
    own.mkdir(exist_ok=True)
    key = own / "key"
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o600)
    for path in (own, key):
        os.chown(path, user.pw_uid, user.pw_gid)
    own.chmod(0o755)
    as_munge = ["setpriv", "--reuid=munge", "--regid=munge", "--clear-groups"]
    files = [f"--{name}-file={own / name}" for name in ("key", "log", "pid", "seed")]
    daemons.start(
        "munged", [*as_munge, "/usr/sbin/munged", "--foreground", f"--socket={own / 's'}", *files]
    )
    wait_until(
        lambda: _answers("munge", "-n", f"--socket={own / 's'}", env={**os.environ}), "munge"
    )


def _start_database(folder: Path, daemons: Daemons) -> int:
    user = pwd.getpwnam("mysql")
    data = folder / "mariadb"
    data.mkdir(exist_ok=True)
    os.chown(data, user.pw_uid, user.pw_gid)
    # Another farm's database would delete its temporary files.
    env = {**os.environ, "TMPDIR": str(data)}
    if not (data / "mysql").exists():
        run(
            "mariadb-install-db",
            "--no-defaults",
            "--user=mysql",
            f"--datadir={data}",
            "--skip-test-db",
            env=env,
        )
    port = free_port()
    # No grant tables: it is on loopback, and there is no password to keep.
    daemons.start("mariadbd", [
        "mariadbd", "--no-defaults", "--user=mysql", f"--datadir={data}", f"--port={port}",
        "--bind-address=127.0.0.1", f"--socket={data / 's'}", f"--pid-file={data / 'pid'}",
        "--skip-grant-tables", "--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0",
    ], env)  # fmt: skip
    wait_until(lambda: _is_open("127.0.0.1", port), "MariaDB")
    return port


def _is_open(host: str, port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0


def _write_accounting(folder: Path, database_port: int, ports: dict[str, str]) -> None:
    path = folder / "slurmdbd.conf"
    path.write_text(f"""\
AuthType=auth/munge
AuthInfo=socket={folder}/munge/s
DbdHost=localhost
DbdPort={ports["dbd"]}
SlurmUser=root
PidFile={folder}/slurmdbd.pid
LogFile={folder}/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={database_port}
StorageUser=slurm
StorageLoc=slurm
""")
    path.chmod(0o600)


def _configuration(farm: Farm, ports: dict[str, str], *, cpus: int, memory_mib: int) -> str:
    numbers = range(1, farm.nodes.count + 1)
    nodes = "\n".join(
        f"NodeName=n{node} NodeAddr={farm.nodes.address(node)} CPUs={cpus} RealMemory={memory_mib}"
        for node in numbers
    )
    return f"""\
ClusterName=farm
SlurmctldHost={socket.gethostname().partition(".")[0]}({farm.nodes.host})
SlurmctldPort={ports["ctld"]}
SlurmdPort={ports["d"]}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={farm.folder}/munge/s
MpiDefault=none
SlurmctldPidFile={farm.folder}/slurmctld.pid
SlurmdPidFile={farm.folder}/%n.pid
SlurmdSpoolDir={farm.folder}/spool-%n
StateSaveLocation={farm.folder}/state
SlurmctldLogFile={farm.folder}/slurmctld.log
SlurmdLogFile={farm.folder}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
# Nodes may claim more than the machine has.
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=256
ReturnToService=2
SlurmdTimeout=20
SlurmctldTimeout=20
KillWait=3
MinJobAge=30
SchedulerParameters=sched_min_interval=100000,bf_interval=2,batch_sched_delay=0
MailProg=/bin/true
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={ports["dbd"]}
AccountingStoragePass={farm.folder}/munge/s
{nodes}
PartitionName=batch Nodes=ALL Default=YES MaxTime=02:00:00 DefaultTime=00:30:00 State=UP
PartitionName=short Nodes=ALL MaxTime=00:01:00 State=UP
PartitionName=closed Nodes=ALL State=DOWN
"""
