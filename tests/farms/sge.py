"""A real Grid Engine on one machine, which is its only node; everything under one folder."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path

from tests.farms.daemons import Daemons, free_port, run, wait_until
from tests.farms.farm import Farm, make_user
from tests.farms.nodes import make_nodes, remove_nodes

INSTALLED = Path("/var/lib/gridengine")
SPOOLED = Path("/var/spool/gridengine")
_ADMIN = "sgeadmin"
_SCHEDULER = {
    "schedule_interval": "0:0:1",
    "flush_submit_sec": "1",
    "flush_finish_sec": "1",
    "schedd_job_info": "true",
}
_PARALLEL = {
    "pe_name": "smp", "slots": "999", "user_lists": "NONE", "xuser_lists": "NONE",
    "start_proc_args": "NONE", "stop_proc_args": "NONE", "allocation_rule": "$pe_slots",
    "control_slaves": "FALSE", "job_is_first_task": "TRUE", "urgency_slots": "min",
    "accounting_summary": "FALSE", "qsort_args": "NONE",
}  # fmt: skip


def is_installed() -> bool:
    """Whether its programs are there."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/bin"
    return all(shutil.which(name, path=path) for name in ("sge_qmaster", "sge_execd", "qsub"))


def start(folder: Path, *, cpus: int = 8, memory_mib: int = 8000) -> Farm:
    """Start it.

    Parameters
    ----------
    folder : Path
        Empty or new.
    cpus, memory_mib : int
        What the node claims to have.
    """
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    make_user(folder)
    network = make_nodes(0)
    root, spool = folder / "root", folder / "spool"
    environment = {
        "SGE_ROOT": str(root),
        "SGE_CELL": "default",
        "SGE_QMASTER_PORT": str(free_port("0.0.0.0")),  # noqa: S104 - that is where it listens
        "SGE_EXECD_PORT": str(free_port("0.0.0.0")),  # noqa: S104
    }
    farm = Farm("sge", folder, network, environment)
    farm.write()
    run("cp", "-a", str(INSTALLED), str(root))
    run("cp", "-a", str(SPOOLED), str(spool))
    common = root / "default" / "common"
    bootstrap = common / "bootstrap"
    bootstrap.write_text(bootstrap.read_text().replace(str(SPOOLED), str(spool)))
    host = socket.gethostname().partition(".")[0]
    # It refuses a host whose name means "localhost", until that is written down as its alias.
    (common / "host_aliases").write_text(f"{host} localhost\n")
    (common / "act_qmaster").write_text(f"{host}\n")
    env = os.environ | environment | {"SGE_ND": "1"}  # in the foreground
    daemons = Daemons(folder)
    daemons.start("qmaster", ["sge_qmaster"], env)
    wait_until(lambda: run("qconf", "-sh", env=env, check=False), "Grid Engine's master")
    _configure(folder, host, env, cpus=cpus, memory_mib=memory_mib)
    daemons.start("execd", ["sge_execd"], env)
    wait_until(lambda: _is_ready(env, host), f"Grid Engine's node; see {folder}")
    return farm


def stop(farm: Farm) -> None:
    """Delete what runs, then end the daemons."""
    env = os.environ | farm.environment
    run("qdel", "-f", "-u", "*", env=env, check=False)
    Daemons(farm.folder).stop()
    remove_nodes(farm.nodes)


def _is_ready(env: dict[str, str], host: str) -> bool:
    lines = [line.split() for line in run("qhost", "-h", host, env=env, check=False).splitlines()]
    return any(line[0] == host and line[3] != "-" for line in lines if len(line) > 3)


def _configure(folder: Path, host: str, env: dict[str, str], *, cpus: int, memory_mib: int) -> None:
    def change(kind: str, text: str) -> None:
        path = folder / f"conf{kind}"
        path.write_text(text)
        run("qconf", kind, str(path), env=env)

    for kind in ("-ah", "-as"):
        run("qconf", kind, host, env=env, check=False)
    fields = {"hostname": host, "complex_values": f"h_vmem={memory_mib}M"}
    names = ("load_scaling", "user_lists", "xuser_lists", "projects", "xprojects", "usage_scaling")
    fields |= dict.fromkeys((*names, "report_variables"), "NONE")
    change("-Ae", _lines(fields))
    change("-Ap", _lines(_PARALLEL))
    queue = {
        "qname": "all.q", "hostlist": host, "slots": str(cpus), "processors": "UNDEFINED",
        "shell": "/bin/bash", "load_thresholds": "NONE", "pe_list": "smp", "notify": "00:00:10",
    }  # fmt: skip
    change("-Aq", _changed(run("qconf", "-sq", env=env), queue))
    path = folder / "global"
    basic = {"execd_spool_dir": str(folder / "spool" / "execd"), "min_uid": "100", "min_gid": "100"}
    basic["reporting_params"] = "accounting=true reporting=false flush_time=00:00:01"
    path.write_text(_changed(run("qconf", "-sconf", env=env), basic))
    run("qconf", "-Mconf", str(path), env=env)
    change("-Msconf", _changed(run("qconf", "-ssconf", env=env), _SCHEDULER))


def _lines(fields: dict[str, str]) -> str:
    return "".join(f"{name} {value}\n" for name, value in fields.items())


def _changed(text: str, fields: dict[str, str]) -> str:
    """A configuration as `qconf` prints it, with some of its fields changed."""
    lines = text.replace("\\\n", " ").splitlines()
    have = dict(line.split(maxsplit=1) for line in lines if line and not line.startswith("#"))
    return _lines({name: value.strip() for name, value in have.items()} | fields)
