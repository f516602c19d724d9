"""How long storage far away may keep silent."""

from __future__ import annotations

from typing import Any

from beampipe.datasets.urls import XROOTD, is_chained, scheme_of
from beampipe.datasets.xrootd_client import tune_client

CONNECT_S = 30.0
SILENCE_S = 60.0
"""After so long without a byte an HTTP server has stalled; aiohttp itself waits five minutes."""


def storage_options(url: str) -> dict[str, Any]:
    """Give the options for fsspec's file system of a URL.

    Parameters
    ----------
    url : str
        A URL; of chained ones each part has its own options, and they are left alone.

    Returns
    -------
    dict
        XRootD's client has none: its limits are those of the whole process, and are set.
    """
    if is_chained(url):
        return {}
    scheme = scheme_of(url)
    if scheme in {"http", "https"}:
        import aiohttp  # with fsspec's HTTP only

        limits = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=SILENCE_S)
        return {"client_kwargs": {"timeout": limits}}
    if scheme in XROOTD:
        tune_client()
    return {}
