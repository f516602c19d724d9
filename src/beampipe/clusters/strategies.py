"""How the workers of a site come by their environment, and why so."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from beampipe.clusters.seen_folders import note_seen, recall_seen
from beampipe.clusters.site import PYTHONS, Site
from beampipe.clusters.site_folders import is_shared, is_unseen
from beampipe.errors import ProviderError, SiteInvalidError

if TYPE_CHECKING:
    from beampipe.environments.packs import Pack

Kind = Literal["shared", "python", "venv", "conda", "pixi", "image", "packed", "gateway"]
_WORDS: Final = {
    "shared": "this environment, where it is",
    "python": "another Python",
    "venv": "a virtual environment",
    "conda": "a conda environment",
    "pixi": "a pixi project",
    "image": "an image",
    "packed": "this environment, packed",
    "gateway": "what the gateway gives",
}
# A shell, the loader and Python itself, about a Python that is not there, or not all of it.
_UNSEEN: Final = re.compile(
    r"python\S*: (?:cannot execute: )?(?:No such file or directory|not found)"
    r"|libpython\S+: cannot open shared object file|No module named '?(?:encodings|beampipe)'?"
    r"|can't open file \S*python|python\S*.?: Permission denied"
)


@dataclass(frozen=True, slots=True)
class Strategy:
    """How workers come by their environment.

    Attributes
    ----------
    kind : str
    place : str
        Which one: a path or a name.
    why : str
        What made it so.
    """

    kind: Kind
    place: str
    why: str

    def __str__(self) -> str:
        return f"{_WORDS[self.kind]}: {self.place} ({self.why})"


def choose_strategy(site: Site) -> Strategy:
    """Choose by what a site says, then by what is known of what its workers see.

    Raises
    ------
    SiteInvalidError
        ``site-invalid``: workers are to use what they do not see.
    """
    if site.provider == "gateway":
        named = next((key for key in (*PYTHONS, "apptainer") if getattr(site, key)), "")
        place = getattr(site, named) if named else "its default"
        return Strategy("gateway", place, "a gateway starts its workers itself")
    for key in PYTHONS:
        if value := getattr(site, key):
            image = f" in {site.apptainer}" if site.apptainer else ""
            return Strategy(key, f"{value}{image}", f"`{key}` from {site.origin(key)}")  # type: ignore[arg-type]
    if site.environment == "packed":
        return Strategy("packed", sys.prefix, f"`environment` from {site.origin('environment')}")
    if site.apptainer and site.environment != "shared":
        why = f"`apptainer` from {site.origin('apptainer')}"
        return Strategy("image", site.apptainer, why)
    return _choose_for_own(site)


def _choose_for_own(site: Site) -> Strategy:
    """For this process' own environment: whether it is seen."""
    hidden = next((place for place in own_places() if is_unseen(site, place)), "")
    if site.environment == "shared":
        if hidden:
            raise SiteInvalidError(
                f"Workers of site '{site.name}' cannot use this environment where it is.",
                why=f"'{hidden}' is in `client_folders` from {site.origin('client_folders')}: "
                "workers do not see it",
                fix="set `environment = 'packed'`, or name an environment that they see",
                key="environment",
                origin=site.origin("environment"),
            )
        return Strategy("shared", sys.prefix, f"`environment` from {site.origin('environment')}")
    if site.provider != "batch":
        return Strategy("shared", sys.prefix, "workers are processes of this machine")
    if hidden:
        why = f"'{hidden}' is in `client_folders` from {site.origin('client_folders')}"
        return Strategy("packed", sys.prefix, why)
    if all(is_shared(site, place) for place in own_places()):
        why = f"it is in `shared_folders` from {site.origin('shared_folders')}"
        return Strategy("shared", sys.prefix, why)
    seen = recall_seen(site.name, sys.prefix)
    if seen is not None:
        kind: Kind = "shared" if seen.is_seen else "packed"
        verb = "saw it" if seen.is_seen else "did not see it"
        return Strategy(kind, sys.prefix, f"a worker {verb} on {seen.day}: `beampipe doctor`")
    why = f"nobody said whether workers see it: `beampipe doctor --on {site.name}` finds out"
    return Strategy("shared", sys.prefix, why)


def own_places() -> tuple[str, ...]:
    """What workers must see to use this environment where it is: it, and the Python below it."""
    return tuple(dict.fromkeys((sys.prefix, sys.base_prefix)))


def plan_for(site: Site) -> Pack:
    """The pack for a site whose strategy that is.

    Raises
    ------
    EnvironmentPackError
        ``environment-pack``
    """
    from beampipe.environments.packs import plan_pack

    return plan_pack(site.packed_format, site.packed_without)


def refuse_packed(site: Site, what: str) -> None:
    """Refuse to start something else than workers in a packed environment.

    Raises
    ------
    ProviderError
        ``cluster-provider``
    """
    strategy = choose_strategy(site)
    if strategy.kind == "packed":
        raise ProviderError(
            f"At site '{site.name}' {what} cannot be a job.",
            why=f"it needs folders of yours, and jobs there have a packed environment: {strategy}",
            fix=f"run it on this host, or name an environment that jobs see: {', '.join(PYTHONS)}",
        )


def describe_strategy(site: Site) -> str:
    """The strategy in words, and which version of a packed environment it is."""
    strategy = choose_strategy(site)
    if strategy.kind != "packed":
        return str(strategy)
    from beampipe.environments.packs import is_made

    pack = plan_for(site)
    state = "it is packed already" if is_made(pack) else "it will be packed"
    return f"{strategy}; {pack.describe()}; as {pack.form}, {state}"


def explain_unseen(site: Site, words: str) -> str:
    """What to do if a job's words say that it does not see its Python; empty if they do not.

    It is kept: the next cluster of the site gets this environment packed, if that is what was
    to be used.
    """
    strategy = choose_strategy(site)
    if strategy.kind not in {"shared", "python", "venv"} or site.apptainer:
        return ""
    if not _UNSEEN.search(words):
        return ""
    if strategy.kind != "shared":
        return f"workers do not see `{strategy.kind} = {strategy.place!r}`: name one that they see"
    note_seen(site.name, sys.prefix, is_seen=False)
    if site.environment == "shared":
        return f"workers do not see '{sys.prefix}': set `environment = 'packed'`"
    return (
        f"workers do not see '{sys.prefix}'; the next cluster there gets it packed "
        "(`environment = 'shared'` prevents that)"
    )
