"""What JupyterHub is told: two users, a gateway as its service, and what users may do there."""

import json
import os

told = json.loads(os.environ["BEAMPIPE_TEST_HUB"])
folder, service = told["folder"], "access:services!service=dask-gateway"

c.JupyterHub.bind_url = f"http://127.0.0.1:{told['port']}/"
c.JupyterHub.hub_bind_url = f"http://127.0.0.1:{told['hub_port']}/"
c.JupyterHub.db_url = f"sqlite:///{folder}/hub.sqlite"
c.JupyterHub.cookie_secret_file = f"{folder}/cookie_secret"
c.ConfigurableHTTPProxy.command = told["proxy"]
c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{told['proxy_api_port']}"
c.ConfigurableHTTPProxy.pid_file = f"{folder}/proxy.pid"
c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = told["password"]
c.Authenticator.allowed_users = set(told["users"])
c.JupyterHub.spawner_class = "simple"
c.Spawner.cmd = [told["singleuser"]]
c.Spawner.args = ["--allow-root"] if os.geteuid() == 0 else []
c.Spawner.environment = {
    "JUPYTERHUB_SINGLEUSER_APP": "jupyter_server.serverapp.ServerApp",
    "JUPYTER_PATH": f"{folder}/jupyter",
    "PATH": os.environ["PATH"],
    # As facilities tell their users' notebooks where the gateway is.
    "DASK_GATEWAY__ADDRESS": f"http://127.0.0.1:{told['port']}/services/dask-gateway",
    "DASK_GATEWAY__PUBLIC_ADDRESS": f"http://127.0.0.1:{told['port']}/services/dask-gateway",
    "DASK_GATEWAY__PROXY_ADDRESS": f"gateway://127.0.0.1:{told['gateway_proxy_port']}",
    "DASK_GATEWAY__AUTH__TYPE": "jupyterhub",
}
c.SimpleLocalProcessSpawner.home_dir_template = f"{folder}/{{username}}"
c.Spawner.server_token_scopes = ["users:activity!user", "access:servers!server", service]
c.JupyterHub.services = [
    {"name": "dask-gateway", "url": told["gateway"], "api_token": told["service_token"]},
    {"name": "tests", "api_token": told["admin_token"]},
]
c.JupyterHub.load_roles = [
    {"name": "user", "scopes": ["self", service]},
    {
        "name": "tests",
        "services": ["tests"],
        "scopes": ["admin:users", "admin:servers", "tokens", "access:servers", service],
    },
]
