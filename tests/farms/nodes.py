"""Nodes of a farm on one machine: each a network namespace with an address and a host name."""

from __future__ import annotations

import contextlib
import os
import random
import signal
from dataclasses import dataclass
from pathlib import Path

from tests.farms.daemons import run


@dataclass(frozen=True)
class Nodes:
    """A bridge with nodes at it. Its number is whoever makes the bridge first, so farms can't meet.

    Attributes
    ----------
    number : int
        Of the network, 10.77.`number`.0/24.
    count : int
        How many nodes.
    """

    number: int
    count: int

    @property
    def host(self) -> str:
        """This machine's address, as the nodes see it."""
        return f"10.77.{self.number}.1"

    @property
    def bridge(self) -> str:
        return f"bpf{self.number}"

    def address(self, node: int) -> str:
        return f"10.77.{self.number}.{10 + node}"

    def space(self, node: int) -> str:
        return f"bpf{self.number}n{node}"

    def inside(self, node: int, *argv: str) -> list[str]:
        """The command that runs `argv` on a node, keeping its process id all the way."""
        enter = ["nsenter", f"--net=/run/netns/{self.space(node)}", "unshare", "--uts", "sh", "-c"]
        return [*enter, 'hostname "$0"; exec "$@"', f"n{node}", *argv]

    def cut(self, node: int) -> None:
        """Take a node's cable out."""
        run("ip", "link", "set", f"{self.bridge}v{node}", "down")

    def mend(self, node: int) -> None:
        """Put it in again."""
        run("ip", "link", "set", f"{self.bridge}v{node}", "up")


def make_nodes(count: int) -> Nodes:
    """Make a network that nobody else has."""
    for number in random.sample(range(256), 256):
        nodes = Nodes(number, count)
        if not Path(f"/sys/class/net/{nodes.bridge}").exists():
            run("ip", "link", "add", nodes.bridge, "type", "bridge")
            break
    run("ip", "addr", "add", f"{nodes.host}/24", "dev", nodes.bridge)
    run("ip", "link", "set", nodes.bridge, "up")
    for node in range(1, count + 1):
        space, link = nodes.space(node), f"{nodes.bridge}v{node}"
        run("ip", "netns", "add", space)
        run("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", space)
        run("ip", "link", "set", link, "master", nodes.bridge, "up")
        run("ip", "-n", space, "link", "set", "lo", "up")
        run("ip", "-n", space, "addr", "add", f"{nodes.address(node)}/24", "dev", "eth0")
        run("ip", "-n", space, "link", "set", "eth0", "up")
        # Dask finds its own address by asking which way it would go out.
        run("ip", "-n", space, "route", "add", "default", "via", nodes.host)
    return nodes


def remove_nodes(nodes: Nodes) -> None:
    """Take it down, and end what still runs on its nodes; what is gone already is no matter."""
    for node in range(1, nodes.count + 1):
        # A job may outlive its daemons. Whatever is in there was started for this farm.
        for pid in run("ip", "netns", "pids", nodes.space(node), check=False).split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        run("ip", "netns", "del", nodes.space(node), check=False)
    run("ip", "link", "del", nodes.bridge, check=False)
