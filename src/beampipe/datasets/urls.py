"""How files are named: local paths, URLs, and what of a URL may be shown."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

URL_PATTERN = re.compile(r"^[A-Za-z][A-Za-z0-9+.\-]+(://|::)")
TREE_PATTERN = re.compile(
    r"(?P<file>.+\.root(?:\.[0-9]+)?):(?!:)(?P<tree>.*)", re.IGNORECASE | re.DOTALL
)
USER_PATTERN = re.compile(r"(?<=://)(?P<user>[^/@\s:]*):[^/@\s]*@")
QUERY_PATTERN = re.compile(r"(?<=[?&])(?P<name>[^=&\s]+)=[^&\s'\"]+")
CHAIN_LINK = re.compile(r"::(?=[A-Za-z][A-Za-z0-9+.\-]*://)")  # IPv6 addresses have "::" too
HOST_PATTERN = re.compile(r"://(?:[^/?#]*@)?(?P<host>[^/?#@]+)")
# A scheme is short; with no end to it a message of megabytes would take hours.
URL_IN_TEXT = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]{1,30}://[^\s'\"<>]+")
XROOTD = ("root", "roots", "xroot", "xroots")
"""Schemes of XRootD, the second and the last always with TLS."""


def is_remote(url: str) -> bool:
    """Tell whether a name is a URL of something that is no local file.

    Parameters
    ----------
    url : str
        An absolute path or a URL.

    Returns
    -------
    bool
        True for ``https://...``, ``root://...``, ``simplecache::s3://...``.
    """
    return bool(URL_PATTERN.match(url)) and not url.startswith("file://")


def local_path(text: str, base: str) -> str:
    """Make the absolute path of a local file.

    Parameters
    ----------
    text : str
        A path, ``~/path`` or ``file://`` URL.
    base : str
        Folder that relative paths start from.

    Returns
    -------
    str
        Absolute path, symbolic links kept.
    """
    if text.startswith("file://"):
        plain = text.removeprefix("file://").removeprefix("localhost")
        text = plain if Path(plain).exists() else unquote(plain)
    elif text.startswith("~"):
        with contextlib.suppress(RuntimeError):  # there is no such user: a file may be called so
            text = str(Path(text).expanduser())
    return os.path.normpath(text if text.startswith("/") else f"{base}/{text}")


def split_tree(text: str, base: str) -> tuple[str, str | None]:
    """Split ``file.root:Tree`` as uproot does: at a colon behind ``.root``, never at a port.

    Parameters
    ----------
    text : str
        A path, glob or URL, with or without a tree.
    base : str
        Folder that relative paths start from.

    Returns
    -------
    file : str
        The text before the colon.
    tree : str or None
        None if there is none. A local file whose own name holds the colon is not split.
    """
    match = TREE_PATTERN.fullmatch(text)
    if match is None or (not URL_PATTERN.match(text) and Path(local_path(text, base)).exists()):
        return text, None
    return match["file"], clean_tree(match["tree"]) or None


def clean_tree(treename: str) -> str:
    """Bring a tree's path into its one form: no slash at the ends, none doubled."""
    return re.sub(r"/+", "/", treename.strip()).strip("/")


def show_url(url: str) -> str:
    """Give a URL without what nobody should see: passwords, and the values of its query.

    Parameters
    ----------
    url : str
        A path or URL.

    Returns
    -------
    str
        Paths as they are.
    """
    if "://" not in url:
        return url
    return QUERY_PATTERN.sub(r"\g<name>=***", USER_PATTERN.sub(r"\g<user>:***@", url))


def hide_secrets(text: str) -> str:
    """Take passwords and query values out of every URL in a text."""
    if "://" not in text:
        return text
    return URL_IN_TEXT.sub(lambda match: show_url(match[0]), text)


def is_chained(url: str) -> bool:
    """Tell whether a URL goes through several of fsspec's file systems.

    >>> is_chained("simplecache::https://host/a.root"), is_chained("root://[::1]//a.root")
    (True, False)
    """
    return "::" in url.partition("://")[0]


def is_xrootd(url: str) -> bool:
    """Tell whether a file lies behind an XRootD server, with nothing of fsspec's between.

    >>> is_xrootd("roots://door.org//a.root"), is_xrootd("simplecache::root://door.org//a.root")
    (True, False)
    """
    return scheme_of(url) in XROOTD and not is_chained(url)


def scheme_of(url: str) -> str:
    """Give the protocol of a URL, the last one where several are chained.

    Parameters
    ----------
    url : str
        For example ``simplecache::https://host/file.root``.

    Returns
    -------
    str
        For example ``https``.
    """
    return urlsplit(url.rpartition("::")[2]).scheme or url.partition("::")[0]


def host_of(url: str, *, worker_host: str = "") -> str:
    """Name whatever can fail for all files at once.

    Parameters
    ----------
    url : str
        Of a file.
    worker_host : str, optional
        The host whose worker read it; what fails with a local path is that host's mount.

    Returns
    -------
    str
        ``"door.org:1094"`` of a URL, never its user or password; `worker_host` of a local path.

    Examples
    --------
    >>> host_of("root://me@door.org:1094//store/a.root")
    'door.org:1094'
    >>> host_of("/eos/a.root", worker_host="node7")
    'node7'
    """
    if not is_remote(url):
        return worker_host
    place = HOST_PATTERN.search(CHAIN_LINK.split(url)[-1])
    return place["host"].lower() if place else url.partition("::")[0]
