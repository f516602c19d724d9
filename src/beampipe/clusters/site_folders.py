"""Folders of a site that only one side sees: what lies there cannot be given to workers."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from beampipe.clusters.site import Site
from beampipe.errors import SiteFoldersError

_SHOWN = 3


def is_unseen(site: Site, path: str | Path) -> bool:
    """Whether a site says that workers do not see a path.

    Of folders in each other the inner one counts. A link is followed: neither it nor what it leads
    to may be out of sight.
    """
    shown = _spell_whole(path)
    return any(_is_unseen(site, place) for place in {shown, os.path.realpath(shown)})


def is_shared(site: Site, path: str | Path) -> bool:
    """Whether a site says that workers see a path."""
    around = list(_around(site.shared_folders, _spell_whole(path)))
    return bool(around) and not is_unseen(site, path)


def _spell_whole(path: str | Path) -> str:
    """The whole path, with links as they are."""
    return os.path.abspath(os.path.expanduser(path))  # noqa: PTH100, PTH111


def _is_unseen(site: Site, place: str) -> bool:
    ours = max((len(each) for each in _around(site.client_folders, place)), default=0)
    shared = max((len(each) for each in _around(site.shared_folders, place)), default=0)
    return ours > shared


def _around(folders: Iterable[str], place: str) -> Iterator[str]:
    for folder in folders:
        plain = os.path.expanduser(folder).rstrip("/")  # noqa: PTH111
        if place == plain or place.startswith(f"{plain}/"):
            yield plain


def check_seen(site: Site, paths: Iterable[str], what: str) -> None:
    """Refuse to give workers what they do not see.

    Raises
    ------
    SiteFoldersError
        ``site-folders``
    """
    unseen = [path for path in paths if is_unseen(site, path)]
    if unseen:
        raise unseen_error(site, unseen, f"{len(unseen)} {what}")


def unseen_error(site: Site, unseen: list[str], what: str) -> SiteFoldersError:
    """The error for paths that workers do not see."""
    shown = ", ".join(f"'{path}'" for path in unseen[:_SHOWN])
    more = f" and {len(unseen) - _SHOWN} more" if len(unseen) > _SHOWN else ""
    return SiteFoldersError(
        f"Workers at '{site.name}' do not see {what}.",
        why=f"{shown}{more}: its profile says that only you see {', '.join(site.client_folders)} "
        f"(`client_folders`, from {site.origin('client_folders')})",
        fix=describe_remedy(site),
    )


def describe_remedy(site: Site) -> str:
    """What to do about files that workers do not see."""
    shared = (
        f"put them under {' or '.join(site.shared_folders)}, or " if site.shared_folders else ""
    )
    return f"{shared}name them by a URL that workers can reach (root://, https://)"


def find_hidden(site: Site) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """Look for environments of workers that they do not see; as `find_contradictions`."""
    for key in ("python", "venv", "conda", "pixi", "apptainer", "local_directory"):
        place = getattr(site, key)
        if place.startswith(("/", "~")) and is_unseen(site, place):
            why = f"workers do not see '{place}', which is in `client_folders`"
            yield (key, "client_folders"), why, "name one that they see"


def check_job_folders(site: Site, work_folder: Path) -> None:
    """Refuse to submit jobs that would not find the keys of their cluster.

    Raises
    ------
    SiteFoldersError
        ``site-folders``
    """
    if site.key_files == "shared" and is_unseen(site, work_folder):
        raise SiteFoldersError(
            f"Workers at '{site.name}' do not see the cluster's folder, with keys and logs.",
            why=f"'{work_folder}' is in `client_folders`",
            fix="set `work_folder` to a place that both sides see"
            + (", or `key_files = 'transfer'`" if site.batch_system == "htcondor" else ""),
        )
