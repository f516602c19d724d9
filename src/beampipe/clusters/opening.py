"""`beampipe.cluster`: workers at a site, by its name."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from beampipe.clusters.detection import detect_site
from beampipe.clusters.providers import find_provider
from beampipe.clusters.site import Site
from beampipe.clusters.site_files import load_site

if TYPE_CHECKING:
    from distributed.deploy import Cluster

logger = logging.getLogger(__name__)


def cluster(
    site: str | None = None,
    n_workers: int = 0,
    *,
    name: str | None = None,
    asynchronous: bool = False,
    **overrides: Any,
) -> Cluster:
    """Get workers at a site.

    Parameters
    ----------
    site : str, optional
        Its name (`beampipe site list`); without one, the site whose host names this host has, which
        is said.
    n_workers : int, default 0
        Workers to ask for at once; more with ``scale`` and ``adapt``.
    name : str, optional
        The cluster's name, for people.
    asynchronous : bool, default False
        Whether it is used from async code: ``async with bp.cluster(..., asynchronous=True)``.
    **overrides
        Keys of the site's profile: ``memory="4 GiB"``, ``queue="long"``, ``walltime="2 h"``.

    Returns
    -------
    distributed.deploy.Cluster
        It has no workers at first; leaving its block, or the process, ends them all.

    Raises
    ------
    SiteUnknownError, SiteInvalidError
        There is no such site, or its profile cannot be used.
    ProviderError, ClusterStartError
        It cannot be started.
    ClusterError
        The site's gateway starts none; the codes ``gateway-...`` say why.

    Examples
    --------
    >>> import beampipe as bp
    >>> with bp.cluster("slurm", n_workers=50, walltime="2 h") as cluster:  # doctest: +SKIP
    ...     result = bp.run("mass.py:process", "files.toml", client=cluster.get_client())
    """
    profile = resolve_site(site, **overrides)
    opened = find_provider(profile.provider).open(profile, name=name, asynchronous=asynchronous)
    if n_workers:
        opened.scale(n_workers)
    return opened


def resolve_site(site: str | None, **overrides: Any) -> Site:
    """The site that is meant, by name, or by this host's name, which is said."""
    if site is None:
        detected = detect_site()
        logger.warning("%s", detected)
        site = detected.site
    return load_site(site, **overrides)
