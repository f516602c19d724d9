"""Hosts of their own on one machine: network namespaces on a bridge, with links to cut."""

import random
import subprocess


def ip(*words, check=True):
    return subprocess.run(["ip", *map(str, words)], check=check, capture_output=True, text=True)


class Network:
    """A bridge with one namespace per host.

    Attributes
    ----------
    address : str
        This machine's own on the bridge.
    """

    def __init__(self, n_hosts):
        self.tag = f"bc{random.SystemRandom().randrange(16**6):06x}"
        part = random.SystemRandom().randrange(64, 128)  # 100.64.0.0/10: nobody's
        self.prefix = f"100.{part}.{random.SystemRandom().randrange(256)}"
        self.address = f"{self.prefix}.1"
        self.n_hosts = n_hosts

    def __enter__(self):
        try:
            ip("link", "add", f"{self.tag}b", "type", "bridge")
            ip("addr", "add", f"{self.address}/24", "dev", f"{self.tag}b")
            ip("link", "set", f"{self.tag}b", "up")
            for number in range(self.n_hosts):
                self.add_host(number)
        except BaseException:
            self.__exit__()
            raise
        return self

    def add_host(self, number):
        space, here, there = self.name(number), f"{self.tag}h{number}", f"{self.tag}n{number}"
        ip("netns", "add", space)
        ip("link", "add", here, "type", "veth", "peer", "name", there)
        ip("link", "set", there, "netns", space)
        ip("link", "set", here, "master", f"{self.tag}b", "up")
        inside = ("-n", space)
        ip(*inside, "link", "set", "lo", "up")
        ip(*inside, "addr", "add", f"{self.prefix}.{number + 10}/24", "dev", there)
        ip(*inside, "link", "set", there, "up")
        ip(*inside, "route", "add", "default", "via", self.address)

    def name(self, number):
        return f"{self.tag}{number}"

    def path(self, number):
        """What `setns` takes."""
        return f"/var/run/netns/{self.name(number)}"

    def cut(self, number):
        ip("link", "set", f"{self.tag}h{number}", "down")

    def mend(self, number):
        ip("link", "set", f"{self.tag}h{number}", "up")

    def __exit__(self, *_):
        for number in range(self.n_hosts):
            ip("link", "del", f"{self.tag}h{number}", check=False)
            ip("netns", "del", self.name(number), check=False)
        ip("link", "del", f"{self.tag}b", check=False)
