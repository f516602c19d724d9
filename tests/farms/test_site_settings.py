"""What a site's profile says of networks, ports and environments, on real Slurm."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from tests.clusters.stand_ins import install_stand_ins
from tests.farms.farm import Farm
from tests.farms.telling import Telling

WORKER_PORTS, NANNY_PORTS = range(24000, 24010), range(24010, 24020)
TAKE = """
import socket, sys, time
taken = [socket.create_server(("0.0.0.0", int(port))) for port in sys.argv[1:]]
print("taken", flush=True)
time.sleep(1000)
"""


@contextlib.contextmanager
def ports_taken(farm: Farm, *ports: int) -> Iterator[None]:
    """Somebody else listens on these ports of every node."""
    with contextlib.ExitStack() as stack:
        for node in range(1, farm.nodes.count + 1):
            argv = farm.nodes.inside(node, sys.executable, "-c", TAKE, *map(str, ports))
            taker = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
            stack.callback(taker.communicate)
            stack.callback(taker.kill)
            assert taker.stdout is not None
            assert taker.stdout.readline() == "taken\n"
        yield


def test_two_networks_and_ports_that_others_have(slurm_farm):
    with (
        ports_taken(slurm_farm, WORKER_PORTS[0], NANNY_PORTS[0]),
        Telling(slurm_farm, "site_stories:networks") as telling,
    ):
        told = telling.end()
    scheduler = urlsplit(told["scheduler"])
    assert scheduler.hostname == slurm_farm.nodes.host
    assert urlsplit(told["listens"]).hostname == slurm_farm.nodes.host  # on that network only
    assert told["taken"] < scheduler.port <= told["taken"] + 20
    nodes = {slurm_farm.nodes.address(node) for node in range(1, slurm_farm.nodes.count + 1)}
    used = {"worker": set(), "nanny": set()}
    for one in told["found"]:
        for kind, ports in (("worker", WORKER_PORTS), ("nanny", NANNY_PORTS)):
            address = urlsplit(one[kind])
            assert address.hostname in nodes
            assert address.port in ports[1:]
            used[kind].add(one[kind])
    assert [len(addresses) for addresses in used.values()] == [3, 3]
    assert told["total"] == 45


def test_environments_and_what_comes_before_the_worker(slurm_farm):
    """conda, pixi and apptainer are stand-ins."""
    folder = slurm_farm.folder / f"stand ins {uuid.uuid4().hex[:8]}"
    install_stand_ins(folder, sys.executable)
    more = {"STORIES_STAND_INS": str(folder)}
    farm = replace(slurm_farm, environment=slurm_farm.environment | more)
    kinds = ("venv", "conda", "pixi", "apptainer")
    with contextlib.ExitStack() as stack:
        told = {kind: stack.enter_context(Telling(farm, f"site_stories:{kind}")) for kind in kinds}
        found = {kind: each.end() for kind, each in told.items()}
    for kind in kinds:
        assert found[kind]["FROM_PROLOGUE"] == "µ a", kind
        assert found[kind]["FROM_SITE"] == "b $HOME", kind
    assert found["venv"]["prefix"] == found["venv"]["wanted"] != sys.prefix
    assert found["conda"]["CONDA_PREFIX"] == "my env"
    assert found["pixi"]["SAID"] == "pixi --shell bash --manifest-path /pro ject/pixi.toml"
    assert found["apptainer"]["APPTAINER_CONTAINER"] == "/an image.sif"
    assert Path(found["conda"]["prefix"]).samefile(sys.prefix)
