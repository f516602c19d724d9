"""How long storage far away may keep silent."""

from __future__ import annotations

import os
from typing import Any

from beampipe.datasets.urls import scheme_of

CONNECT_S = 30.0
SILENCE_S = 60.0
"""After so long without a byte an HTTP server has stalled; aiohttp itself waits five minutes."""
XROOTD_REQUEST_S = 300
"""For one request; the XRootD client itself waits half an hour."""


def storage_options(url: str) -> dict[str, Any]:
    """Give the options for fsspec's file system of a URL.

    Parameters
    ----------
    url : str
        A URL; of chained ones each part has its own options, and they are left alone.

    Returns
    -------
    dict
        Without limits that the user set by the client's own variable (``XRD_REQUESTTIMEOUT``).
    """
    if "::" in url.partition("://")[0]:
        return {}
    scheme = scheme_of(url)
    if scheme in {"http", "https"}:
        import aiohttp  # with fsspec's HTTP only

        limits = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=SILENCE_S)
        return {"client_kwargs": {"timeout": limits}}
    if scheme in {"root", "roots"} and "XRD_REQUESTTIMEOUT" not in os.environ:
        return {"timeout": XROOTD_REQUEST_S}
    return {}
