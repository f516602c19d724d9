"""Whether one host can reach ports of another: tried with plain TCP, from either side."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

CHECK: Final = "BEAMPIPE_CHECK_WAY"
"""Set in a job's environment: see whether the scheduler can be reached before anything else."""
NO_WAY: Final = "beampipe: no way to the scheduler: "
"""What such a job writes first, if not."""
_PATIENCE_S: Final = 4.0
_MOST_PORTS, _SOME_PORTS = 128, 3
_AT_A_TIME: Final = 64
_WORDS: Final = {
    errno.ECONNREFUSED: "refused: nobody listens there, or a firewall says so",
    errno.EHOSTUNREACH: "no route to that host",
    errno.ENETUNREACH: "no route to that network",
    errno.EACCES: "not allowed from here",
}
# Of this process, between two calls of a client.
_OPEN: dict[int, socket.socket] = {}


def try_port(host: str, port: int, *, patience_s: float = _PATIENCE_S) -> str:
    """Try to connect; why it cannot be done, empty if it can."""
    try:
        with socket.create_connection((host, port), timeout=patience_s):
            return ""
    except TimeoutError:
        return "no answer: a firewall drops it, as a rule"
    except socket.gaierror as error:
        return f"the name '{host}' is not known there ({error.strerror})"
    except OSError as error:
        return _WORDS.get(error.errno or 0, error.strerror or str(error))


def try_ports(host: str, ports: Iterable[int]) -> dict[int, str]:
    """Try several ports at a time: those that cannot be reached, with the reason."""
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        several = list(ports)
        reasons = pool.map(lambda port: try_port(host, port), several)
        return {port: why for port, why in zip(several, reasons, strict=True) if why}


def choose_ports(ports: tuple[int, int]) -> list[int]:
    """All ports of a range, or 128 of a wide one, its ends among them; three zeros for any port."""
    first, last = ports
    if not first:
        return [0] * _SOME_PORTS
    count = last - first + 1
    if count <= _MOST_PORTS:
        return list(range(first, last + 1))
    return [first + round(k * (count - 1) / (_MOST_PORTS - 1)) for k in range(_MOST_PORTS)]


def open_ports(ports: Sequence[int]) -> list[int]:
    """Listen on ports of this host, as far as nobody else does; those on which it does now.

    Whoever connects gets nothing. `close_ports` ends it.
    """
    begun = []
    for port in ports:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("", port))
            listener.listen(_AT_A_TIME)
        except OSError:
            listener.close()
            continue
        begun.append(listener.getsockname()[1])
        _OPEN[begun[-1]] = listener
    return begun


def close_ports() -> None:
    """Listen no more."""
    while _OPEN:
        _, listener = _OPEN.popitem()
        listener.close()


def split_address(address: str) -> tuple[str, int]:
    """Host and port of an address of Dask's.

    >>> split_address("tls://10.0.0.1:8786"), split_address("tcp://[::1]:80")
    (('10.0.0.1', 8786), ('::1', 80))
    """
    host, _, port = address.partition("://")[2].rpartition(":")
    return host.strip("[]"), int(port)


def describe_ports(ports: Iterable[int]) -> str:
    """Write ports as ranges.

    >>> describe_ports([8000, 8001, 8002, 8010])
    '8000-8002, 8010'
    """
    ranges: list[list[int]] = []
    for port in sorted(ports):
        if ranges and port == ranges[-1][1] + 1:
            ranges[-1][1] = port
        else:
            ranges.append([port, port])
    return ", ".join(f"{a}-{b}" if a != b else str(a) for a, b in ranges)


def check_way(address: str, host: str) -> str:
    """What a job writes that cannot reach its scheduler; empty if it can."""
    place, port = split_address(address)
    why = try_port(place, port)
    return f"{NO_WAY}{host} to {place} port {port}: {why}" if why else ""


def find_no_way(texts: Iterable[Any]) -> str:
    """Find in what jobs wrote the line of one that could not reach its scheduler."""
    for text in texts:
        for line in str(text).splitlines():
            with contextlib.suppress(ValueError):
                return line[line.index(NO_WAY) + len(NO_WAY) :]
    return ""
