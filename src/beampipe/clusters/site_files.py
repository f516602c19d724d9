"""Where site profiles stand, and how their layers are put together."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from beampipe.clusters.site import Site, find_contradictions
from beampipe.clusters.site_folders import find_hidden
from beampipe.errors import SiteInvalidError, SiteUnknownError
from beampipe.layers import (
    Layer,
    Vocabulary,
    check_layer,
    read_arguments,
    read_environment,
    read_file,
)

SYSTEM_FOLDER = Path("/etc/beampipe/sites")
SITES_VARIABLE = "BEAMPIPE_SITES"
LOCAL_FOLDER = Path("beampipe-sites")
ENV_PREFIX = "BEAMPIPE_SITE_"

WORDS = Vocabulary(Site, SiteInvalidError, "key of a site profile", "site profile", ENV_PREFIX)

_ITS_OWN = {"description", "documentation", "tried", "hosts", "like"}


@dataclass(frozen=True, slots=True)
class SiteFolder:
    """A place of profiles: what people call it, and where it is."""

    layer: str
    path: Path


def site_folders() -> tuple[SiteFolder, ...]:
    """The folders that are looked at, the weakest first, whether they exist or not."""
    config_home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    institute = [SYSTEM_FOLDER]
    extra = os.environ.get(SITES_VARIABLE, "")
    institute += [Path(part).expanduser() for part in reversed(extra.split(os.pathsep)) if part]
    return (
        SiteFolder("shipped", Path(str(resources.files("beampipe.clusters") / "sites"))),
        *(SiteFolder("institute", path) for path in institute),
        SiteFolder("user", user_folder(config_home)),
        SiteFolder("project", LOCAL_FOLDER),
    )


def user_folder(config_home: Path | None = None) -> Path:
    """Where a user's own profiles stand."""
    home = config_home or Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return home / "beampipe" / "sites"


def list_sites() -> dict[str, tuple[str, ...]]:
    """All sites by name, and the layers in which each has a profile."""
    found: dict[str, tuple[str, ...]] = {}
    for folder in site_folders():
        for path in _profiles(folder.path):
            found[path.stem] = (*found.get(path.stem, ()), folder.layer)
    return dict(sorted(found.items()))


def _profiles(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == ".toml")
    except OSError:  # a folder that is not there, or not ours to read, has no profiles
        return []


def load_site(name: str, **overrides: Any) -> Site:
    """Put the layers of one site together.

    Parameters
    ----------
    name : str
        A site's name.
    **overrides
        Arguments by key; None means that one was not given.

    Returns
    -------
    Site
        Values with their origins.

    Raises
    ------
    SiteUnknownError
        ``site-unknown``: nowhere is a profile of this name; the closest are given.
    SiteInvalidError
        ``site-invalid``: an unknown key, a value that cannot be used (with file and line), or
        values that cannot hold at the same time.
    """
    layers = [*_file_layers(name, ()), read_environment(os.environ, WORDS)]
    layers.append(read_arguments(overrides))
    return combine(name, layers)


def combine(name: str, layers: list[Layer]) -> Site:
    """Let later layers win, and check what comes out."""
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for layer in layers:
        values |= check_layer(layer, WORDS)
        origins |= {key: layer.origins[key] for key in layer.values}
    site = Site.model_construct(**{**dict(Site()), **values}).with_origins(name, origins)
    for keys, why, fix in (*find_contradictions(site), *find_hidden(site)):
        places = "; ".join(f"`{key}` from {site.origin(key)}" for key in keys)
        listed = " and ".join(f"`{key}`" for key in keys)
        raise SiteInvalidError(
            f"The values of {listed} of site '{name}' cannot be used"
            f"{' together' if len(keys) > 1 else ''}.",
            why=f"{why} ({places})",
            fix=fix,
            key=keys[0],
            origin=site.origin(keys[0]),
        )
    return site


def _file_layers(name: str, seen: tuple[str, ...]) -> list[Layer]:
    """The layers of a site's files, below them those of the site that it is like."""
    if name in seen:
        raise SiteInvalidError(
            f"Site '{seen[0]}' is like itself.",
            why=f"`like` goes round: {' -> '.join((*seen, name))}",
            fix="leave out one of these lines",
            key="like",
            origin="",
        )
    paths = [folder.path / f"{name}.toml" for folder in site_folders()]
    layers = [read_file(path, WORDS) for path in paths if _is_plain(name) and path.is_file()]
    if not layers:
        raise unknown_site(name, seen[-1] if seen else "")
    like = _last_text(layers, "like")
    return [*_layers_below(like, (*seen, name)), *layers] if like else layers


def _layers_below(name: str, seen: tuple[str, ...]) -> list[Layer]:
    """What a site takes from the one that it is like: not what that one alone is."""
    layers = _file_layers(name, seen)
    return [
        Layer(
            {key: value for key, value in layer.values.items() if key not in _ITS_OWN},
            layer.origins,
        )
        for layer in layers
    ]


def _last_text(layers: list[Layer], key: str) -> str:
    texts = [layer.values[key] for layer in layers if isinstance(layer.values.get(key), str)]
    return texts[-1] if texts else ""


def _is_plain(name: str) -> bool:
    """Whether a name cannot lead out of a folder."""
    return bool(name) and Path(name).name == name and not name.startswith(".")


def unknown_site(name: str, asked_by: str = "") -> SiteUnknownError:
    """The error about a site that has no profile."""
    known = list(list_sites())
    close = difflib.get_close_matches(name, known, n=3)
    fix = f"did you mean {_quote(close)}?" if close else f"known: {_quote(known)}"
    where = ", ".join(f"'{folder.path}'" for folder in site_folders()[1:])
    return SiteUnknownError(
        f"There is no site '{name}'.",
        why=f"site '{asked_by}' is like it" if asked_by else f"no profile here, nor in {where}",
        fix=f"{fix} `beampipe site new {name}` begins a profile" if _is_plain(name) else fix,
        site=name,
        known=tuple(known),
    )


def _quote(names: list[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def check_profile(path: Path) -> Site:
    """Check one file, with the layers that stand below the site of its name.

    Raises
    ------
    SiteInvalidError
    """
    layer = read_file(path, WORDS)
    if not layer.values and not path.is_file():
        raise SiteInvalidError(
            f"The site profile '{path}' cannot be read.",
            why="there is no such file",
            fix="give the path of a TOML file",
            key="",
            origin=str(path),
        )
    like = _last_text([layer], "like")
    below = _layers_below(like, (path.stem,)) if like else []
    return combine(path.stem, [*below, layer])


def site_values(site: Site) -> Mapping[str, Any]:
    """All values of a site by key."""
    return {key: getattr(site, key) for key in WORDS.keys}
