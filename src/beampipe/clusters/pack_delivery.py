"""Brings a packed environment into the folder of a cluster, from which its jobs get it."""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources

from beampipe.clusters.cluster_folder import ClusterFolder
from beampipe.clusters.site import Site
from beampipe.clusters.strategies import choose_strategy, plan_for
from beampipe.environments.packs import make_pack, place_pack
from beampipe.errors import ClusterStartError
from beampipe.private_files import write_private


def deliver_pack(site: Site, folder: ClusterFolder, say: Callable[[str], None]) -> None:
    """See that the jobs of a cluster find a packed environment, if that is what they are to have.

    Parameters
    ----------
    site : Site
    folder : ClusterFolder
        The cluster's; it is there.
    say : callable
        Told what takes a while.

    Raises
    ------
    EnvironmentPackError, ClusterStartError
        It cannot be packed, or not be put there.
    """
    if choose_strategy(site).kind != "packed":
        return
    pack = plan_for(site)
    made = make_pack(pack, say)
    program = resources.files("beampipe.environments") / "start-packed.sh"
    try:
        place_pack(made, folder.path)
        write_private(folder.starter, program.read_bytes())
    except OSError as error:
        raise ClusterStartError(
            f"The packed environment cannot be put into the cluster's folder, '{folder.path}'.",
            why=str(error),
            fix="make room there, or set `work_folder` of the site to another place",
        ) from error
    say(f"workers get this environment packed, {pack.describe()}")
