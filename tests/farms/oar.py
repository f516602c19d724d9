"""A real OAR on one machine, which is its only node: database, sshd and server of its own.

Its configuration is in /etc/oar, so there is one at a time on a machine; the package's own is put
back when it is stopped.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import shutil
import signal
from pathlib import Path

from tests.farms.daemons import Daemons, free_port, run, wait_until
from tests.farms.farm import Farm, make_user
from tests.farms.nodes import make_nodes, remove_nodes

POSTGRES = Path("/usr/lib/postgresql/15/bin")
TABLES = Path("/usr/lib/oar/database")
CONFIGURATION = Path("/etc/oar/oar.conf")
SSHD = Path("/etc/oar/sshd_config")
_PROGRAMS = ("Almighty", "oarsub", "oarnodesetting", "sshd")
_KEPT = "oar.conf.package"


def is_installed() -> bool:
    """Whether its programs are there."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/bin"
    programs = all(shutil.which(name, path=path) for name in _PROGRAMS)
    return programs and (POSTGRES / "initdb").exists() and TABLES.is_dir()


def start(folder: Path, *, cpus: int = 8) -> Farm:
    """Start it.

    Parameters
    ----------
    folder : Path
        Empty or new.
    cpus : int
        Cores that the node claims to have.
    """
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    make_user(folder)
    farm = Farm("oar", folder, make_nodes(0))
    farm.write()
    daemons = Daemons(folder)
    database, server, ssh = (free_port() for _ in range(3))
    _start_database(folder, daemons, database)
    _configure(folder, database=database, server=server, ssh=ssh)
    _start_sshd(folder, daemons, ssh)
    daemons.start("almighty", ["/usr/sbin/Almighty"])
    wait_until(lambda: _listens(server), f"OAR's server; see {folder}")
    run("oarproperty", "-a", "core")
    for core in range(1, cpus + 1):
        # It answers before the server knows of it, so that all are added at once.
        properties = ("-p", f"cpuset={core}", "-p", f"core={core}")
        run("oarnodesetting", "-n", "-a", "-h", "127.0.0.1", *properties)
    run("oarnotify", "ChState")
    wait_until(lambda: "Alive" in run("oarnodes", "-s", check=False), f"OAR's node; see {folder}")
    return farm


def stop(farm: Farm) -> None:
    """Delete what runs, then end the daemons."""
    run("oardel", "--sql", "state NOT IN ('Terminated', 'Error')", check=False)
    with contextlib.suppress(TimeoutError):
        wait_until(lambda: not run("oarstat", check=False).strip(), "OAR's jobs to end", 30)
    for pid in _below(*Daemons(farm.folder).running()):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    Daemons(farm.folder).stop(signal.SIGINT)
    kept = farm.folder / _KEPT
    if kept.exists():
        _write_configuration(kept.read_text())
    remove_nodes(farm.nodes)


def _below(*pids: int) -> list[int]:
    """The processes that come of others: the server's children do not go with it."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    found = [pid for pid, parent in parents.items() if parent in pids]
    return found + (_below(*found) if found else [])


def _listens(port: int) -> bool:
    local = f":{port:04X} "
    lines = Path("/proc/net/tcp").read_text().splitlines()
    return any(local in line and " 0A " in line for line in lines)


def _start_database(folder: Path, daemons: Daemons, port: int) -> None:
    data = folder / "database"
    data.mkdir()
    owner = pwd.getpwnam("postgres")
    os.chown(data, owner.pw_uid, owner.pw_gid)
    as_owner = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]
    run(*as_owner, f"{POSTGRES}/initdb", "--no-sync", "--auth=trust", "-D", str(data))
    options = ("fsync=off", "listen_addresses=127.0.0.1", f"unix_socket_directories={data}")
    settings = [word for option in options for word in ("-c", option)]
    server = [f"{POSTGRES}/postgres", "-D", str(data), "-p", str(port), *settings]
    daemons.start("postgres", [*as_owner, *server])
    ask = ["psql", "-h", "127.0.0.1", "-p", str(port), "-q", "-v", "ON_ERROR_STOP=1"]
    wait_until(lambda: run(*ask, "-U", "postgres", "-c", "select 1", check=False), "PostgreSQL")
    make = ("CREATE ROLE oar LOGIN", "CREATE ROLE oar_ro LOGIN", "CREATE DATABASE oar OWNER oar")
    for line in make:
        run(*ask, "-U", "postgres", "-c", line)
    for name in ("pg_structure", "default_data", "pg_default_admission_rules"):
        run(*ask, "-U", "oar", "-f", str(TABLES / f"{name}.sql"), "oar")
    run(*ask, "-U", "oar", "-c", "GRANT SELECT ON ALL TABLES IN SCHEMA public TO oar_ro", "oar")


def _configure(folder: Path, *, database: int, server: int, ssh: int) -> None:
    log = folder / "oar.log"
    log.touch()
    shutil.chown(log, "oar", "oar")
    settings = {
        "DB_TYPE": "Pg",
        "DB_HOSTNAME": "127.0.0.1",
        "DB_PORT": str(database),
        "DB_BASE_PASSWD": "oar",
        "DB_BASE_PASSWD_RO": "oar_ro",
        "SERVER_PORT": str(server),
        "OPENSSH_CMD": f"/usr/bin/ssh -p {ssh} -e none",
        "LOG_FILE": str(log),
        "SCHEDULER_JOB_SECURITY_TIME": "1",
        "SCHEDULER_MIN_TIME_BETWEEN_2_CALLS": "0",
    }
    text = CONFIGURATION.read_text()
    (folder / _KEPT).write_text(text)
    # Without it jobs need no cpusets.
    text = re.sub(r"^JOB_RESOURCE_MANAGER_PROPERTY_DB_FIELD=", r"#\g<0>", text, flags=re.MULTILINE)
    for name, value in settings.items():
        text = re.sub(rf"^#* *{name}=.*\n", "", text, flags=re.MULTILINE)
        text += f'{name}="{value}"\n'
    _write_configuration(text)


def _write_configuration(text: str) -> None:
    owner = CONFIGURATION.stat()
    new = CONFIGURATION.with_name("oar.conf.new")
    new.write_text(text)
    new.chmod(0o600)
    os.chown(new, owner.st_uid, owner.st_gid)
    new.replace(CONFIGURATION)


def _start_sshd(folder: Path, daemons: Daemons, port: int) -> None:
    """Start the sshd by which OAR reaches its nodes; here, this machine."""
    where = f"Port {port}\nListenAddress 127.0.0.1"
    text = re.sub(r"^Port .*", where, SSHD.read_text(), flags=re.MULTILINE)
    own = folder / "sshd_config"
    own.write_text(text)
    Path("/run/sshd").mkdir(exist_ok=True)
    runtime = Path("/run/oar")
    runtime.mkdir(exist_ok=True)
    shutil.chown(runtime, "oar", "oar")
    run("usermod", "-s", "/bin/bash", "oar")
    daemons.start("sshd", ["/usr/sbin/sshd", "-D", "-f", str(own), "-o", "PidFile=none"])
    wait_until(lambda: _listens(port), f"OAR's sshd; see {folder}")
