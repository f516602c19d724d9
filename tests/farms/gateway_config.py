"""What dask-gateway's server is told: its users, its options, and one cluster for each user."""

import json
import os
from pathlib import Path

from dask_gateway_server.backends.base import PublicException
from dask_gateway_server.backends.jobqueue.slurm import SlurmBackend
from dask_gateway_server.backends.local import UnsafeLocalBackend
from dask_gateway_server.models import ClusterStatus
from dask_gateway_server.options import Bool, Float, Integer, Mapping, Options, Select, String

told = json.loads(os.environ["BEAMPIPE_TEST_GATEWAY"])
folder = Path(told["folder"])
python = told["python"]
SLEEP = "import time; time.sleep(600)"


class Limits:
    """Lets a user have one cluster at a time, as some facilities do."""

    async def start_cluster(self, user, cluster_options):
        begun = [ClusterStatus.PENDING, ClusterStatus.RUNNING, ClusterStatus.STOPPING]
        theirs = await self.list_clusters(username=user.name, statuses=begun)
        if user.name in told["limited"] and theirs:
            raise PublicException("You may only have 1 active cluster; stop yours first.")
        return await super().start_cluster(user, cluster_options)


class ProcessBackend(Limits, UnsafeLocalBackend):
    """Schedulers and workers are processes of the server."""


class JobBackend(Limits, SlurmBackend):
    """Schedulers and workers are Slurm's jobs, of the user who asked for them."""


def worker_of(python):
    return [python, "-m", "distributed.cli.dask_worker", "--no-nanny"]


def read_options(options, user):
    if options.conda_env == "refused":
        raise ValueError("conda_env: no such environment")
    broken = "echo conda: no environment of this name >&2; sleep 3; exit 1; #"
    scheduler = {
        "broken": broken.split() if told["slurm"] else ["false"],
        "slow": ["sleep", "600", "#"] if told["slurm"] else [python, "-c", SLEEP],
    }.get(options.conda_env, [python, "-m", "distributed.cli.dask_scheduler"])
    env = options.conda_env
    # An environment is a name, or its Python.
    its_python = {"worker_cmd": worker_of(env)} if env.startswith("/") else {}
    return (
        ({"partition": options.queue} if told["slurm"] else {})
        | its_python
        | {
            "worker_cores": options.worker_cores,
            "worker_memory": int(options.worker_memory * 2**30),
            "environment": dict(options.env) | {"BEAMPIPE_TEST_QUEUE": options.queue},
            "scheduler_cmd": scheduler,
        }
    )


c.DaskGateway.address = f"127.0.0.1:{told['private_port']}"
c.DaskGateway.backend_class = JobBackend if told["slurm"] else ProcessBackend
if told["hub"]:
    c.DaskGateway.authenticator_class = "dask_gateway_server.auth.JupyterHubAuthenticator"
    c.JupyterHubAuthenticator.jupyterhub_api_url = told["hub"]
    c.JupyterHubAuthenticator.jupyterhub_api_token = told["hub_token"]
    c.JupyterHubAuthenticator.jupyterhub_service_name = "dask-gateway"
else:
    c.DaskGateway.authenticator_class = "dask_gateway_server.auth.SimpleAuthenticator"
    c.SimpleAuthenticator.password = told["password"]
c.Proxy.address = f"{told['host']}:{told['port']}"
c.Proxy.prefix = told["prefix"]
c.Proxy.tcp_address = f"{told['host']}:{told['proxy_port']}"
# A server that is started anew finds its clusters in a file; what is secret in it is encrypted.
c.DBBackendBase.db_url = f"sqlite:///{folder}/gateway.sqlite"
c.DBBackendBase.db_encrypt_keys = [told["key"]]
c.DBBackendBase.cluster_status_period = 0.5
c.DBBackendBase.worker_status_period = 1
c.DBBackendBase.check_timeouts_period = 1
c.DBBackendBase.cluster_heartbeat_period = 10
c.DBBackendBase.cluster_start_timeout = 120
c.DBBackendBase.worker_start_timeout = 120
if told["slurm"]:
    # The server wipes the environment of Slurm's commands.
    for command in ("submit", "cancel", "status"):
        setattr(c.JobQueueBackend, f"{command}_command", f"{told['slurm']}/{command}")
    c.ClusterConfig.scheduler_memory = "400 M"
c.LocalBackend.clusters_directory = str(folder / "clusters")
c.LocalBackend.sigint_timeout = 1
c.ClusterConfig.worker_cmd = worker_of(python)
c.Backend.cluster_options = Options(
    String("conda_env", default="here", label="Environment of scheduler and workers"),
    Select("queue", ["batch", "short"], default="batch", label="Partition"),
    Integer("worker_cores", default=1, min=1, max=4, label="Cores of a worker"),
    Float("worker_memory", default=0.5, min=0.25, max=8, label="Memory of a worker (GiB)"),
    Bool("preemptible", default=False, label="Workers may be ended at any time"),
    Mapping("env", default={}, label="Environment variables"),
    handler=read_options,
)
