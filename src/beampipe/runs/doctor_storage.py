"""The doctor's look at files behind URLs: reachable, allowed, and quick enough, here and there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from beampipe.checks import Finding
from beampipe.datasets.storage_probe import Sample, probe_storage
from beampipe.datasets.urls import host_of, scheme_of

if TYPE_CHECKING:
    from distributed import Client

_MOST_HOSTS: Final = 4
_PATIENCE_S: Final = 15.0
_SLOW_S: Final = 3.0
_SLOW_BYTES_PER_S: Final = 10**6


def choose_urls(urls: Iterable[str]) -> list[str]:
    """The first URL of each server and protocol, of four at most."""
    first: dict[str, str] = {}
    for url in urls:
        first.setdefault(_name(url), url)
    return list(first.values())[:_MOST_HOSTS]


def examine_storage_here(urls: Iterable[str]) -> Iterator[Finding]:
    """Read a little of one file of each server, from this host."""
    if chosen := choose_urls(urls):
        for sample in probe_storage(chosen, patience_s=_PATIENCE_S):
            yield judge_sample("storage", sample)


def examine_storage_there(
    urls: Iterable[str], client: Client, *, tell: Callable[[str], None]
) -> Iterator[Finding]:
    """Read a little of one file of each server from a worker, with proxy and token as in a run."""
    chosen = choose_urls(urls)
    if not chosen:
        return
    from beampipe.environments.credential_shipping import shipped_credentials

    with shipped_credentials(client, say=tell):
        future: Any = client.submit(
            probe_storage, chosen, patience_s=_PATIENCE_S, pure=False, key="beampipe-doctor-storage"
        )
        for sample in future.result(timeout=2 * _PATIENCE_S):
            yield judge_sample("storage-worker", sample)


def judge_sample(code: str, sample: Sample) -> Finding:
    """What one sample means."""
    where = _name(sample.url)
    if sample.message:
        return Finding(code, "error", f"{where}: {sample.message} {sample.why}".strip(), sample.fix)
    rate = sample.read_bytes / max(sample.read_s, 1e-6)
    fact = (
        f"{where}: first bytes after {sample.latency_s:.2f} s, then {sample.read_bytes / 1e6:.2f} "
        f"MB at {rate / 1e6:.1f} MB/s"
    )
    if sample.latency_s > _SLOW_S or rate < _SLOW_BYTES_PER_S:
        remedy = "that is slow: name a replica that is nearer, if there is one, or copy the files"
        return Finding(code, "warning", fact, remedy)
    return Finding(code, "ok", fact)


def _name(url: str) -> str:
    return f"{scheme_of(url)}://{host_of(url)}"
