"""Which site this host belongs to, by its name."""

from __future__ import annotations

import fnmatch
import socket
from dataclasses import dataclass

from beampipe.clusters.site_files import list_sites, load_site
from beampipe.errors import SiteUnknownError


@dataclass(frozen=True, slots=True)
class Detected:
    """A site that was found, and by what.

    Attributes
    ----------
    site : str
        Its name.
    host : str
        The name of this host.
    pattern : str
        The pattern of the site that the host's name has.
    """

    site: str
    host: str
    pattern: str

    def __str__(self) -> str:
        return f"site '{self.site}': the name of this host, {self.host}, fits '{self.pattern}'"


def detect_sites(host: str | None = None) -> list[Detected]:
    """Find the sites whose patterns fit a host's name.

    Parameters
    ----------
    host : str, optional
        A full host name; this host's own if it is not given.

    Returns
    -------
    list of Detected
        One for each site, by name.
    """
    full_name = (host or socket.getfqdn()).lower()
    found = []
    for name in list_sites():
        for pattern in load_site(name).hosts:
            if fnmatch.fnmatch(full_name, pattern.lower()):
                found.append(Detected(name, full_name, pattern))
                break
    return found


def detect_site(host: str | None = None) -> Detected:
    """Find the one site whose patterns fit a host's name.

    Raises
    ------
    SiteUnknownError
        ``site-unknown``: none fits, or several do.
    """
    found = detect_sites(host)
    if len(found) == 1:
        return found[0]
    full_name = (host or socket.getfqdn()).lower()
    names = tuple(entry.site for entry in found) or tuple(list_sites())
    raise SiteUnknownError(
        f"Which site this is cannot be told from the name of this host, {full_name}.",
        why="several sites fit" if found else "no site's `hosts` fit",
        fix=f"name one of {', '.join(names)}: `--on SITE`, or `bp.cluster('SITE')`",
        site="",
        known=names,
    )
