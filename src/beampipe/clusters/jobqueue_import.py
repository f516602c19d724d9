"""Turns a configuration of dask-jobqueue into site profiles."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from beampipe.clusters.site import BATCH_SYSTEMS, Site, describe_value
from beampipe.errors import SiteInvalidError

_SAME = {
    "queue": "queue",
    "project": "account",
    "account": "account",
    "cores": "cores",
    "processes": "processes",
    "python": "python",
    "local-directory": "local_directory",
}
_LISTS = {"job-script-prologue": "prologue", "env-extra": "prologue"}
_DIRECTIVES = ("job-extra-directives", "job-extra")
# Names, and what has no meaning here or is done by itself.
_NEEDLESS = {"name", "batch-name", "death-timeout", "shebang", "extra", "worker-command"}
_BARE_TIME = re.compile(r"(?:(\d+):)?(\d+):(\d+)")
_PORT_OPTIONS = {"--worker-port": "worker_ports", "--nanny-port": "nanny_ports"}


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of one section of a configuration.

    Attributes
    ----------
    name : str
        The section's name, which names the batch system or a class derived from one.
    text : str
        A profile in TOML.
    left_out : tuple of str
        What could not be taken over.
    """

    name: str
    text: str
    left_out: tuple[str, ...]


def import_jobqueue(path: Path) -> list[Imported]:
    """Read a configuration of dask-jobqueue.

    Parameters
    ----------
    path : Path
        A YAML file with ``jobqueue:``, such as ``~/.config/dask/jobqueue.yaml``.

    Returns
    -------
    list of Imported
        One for each section that sets anything.

    Raises
    ------
    SiteInvalidError
        ``site-invalid``: it cannot be read, or has no such section.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise _unusable(path, str(error)) from error
    sections = content.get("jobqueue") if isinstance(content, Mapping) else None
    if not isinstance(sections, Mapping):
        raise _unusable(path, "it has no section `jobqueue:`")
    made = [
        _import_section(str(name), dict(section))
        for name, section in sections.items()
        if isinstance(section, Mapping)
    ]
    return [entry for entry in made if entry.text]


def _unusable(path: Path, why: str) -> SiteInvalidError:
    return SiteInvalidError(
        f"The configuration of dask-jobqueue '{path}' cannot be used.",
        why=why,
        fix="give a YAML file like ~/.config/dask/jobqueue.yaml",
        key="",
        origin=str(path),
    )


def _import_section(name: str, section: dict[str, Any]) -> Imported:
    given = {key.replace("_", "-"): value for key, value in section.items() if value}
    values: dict[str, Any] = {}
    left_out: list[str] = []
    for key, value in given.items():
        if not _take(key, value, values) and key not in _NEEDLESS:
            left_out.append(f"{key}: {value}")
    if not values:
        return Imported(name, "", tuple(left_out))
    system = next((known for known in BATCH_SYSTEMS if known in name.lower()), "")
    if "condor" in name.lower():
        system = "htcondor"
    lines = [f'batch_system = "{system}"' if system else "# batch_system = ... is not told by this"]
    lines += [f"{key} = {_write(key, value)}" for key, value in values.items()]
    lines += [f"# not taken over: {line}" for entry in left_out for line in entry.splitlines()]
    return Imported(name, "\n".join(lines) + "\n", tuple(left_out))


def _take(key: str, value: Any, values: dict[str, Any]) -> bool:
    """Take one entry over; whether that was possible."""
    if key in _SAME:
        values[_SAME[key]] = value
    elif key == "interface":  # of both, unless the scheduler has its own
        values |= {"worker_interface": value, **({} if key in values else {key: value})}
    elif key in _LISTS:
        lines = [value] if isinstance(value, str) else value
        values[_LISTS[key]] = (*values.get(_LISTS[key], ()), *map(str, lines))
    elif key in _DIRECTIVES:
        values["directives"] = (*values.get("directives", ()), *_directives(value))
    elif key == "memory":
        values[key] = str(value)
    elif key == "walltime":
        return _take_walltime(str(value), values)
    elif key == "worker-extra-args":
        return _take_worker_options([str(part) for part in value], values)
    elif key == "scheduler-options":
        return _take_scheduler_options(dict(value), values)
    else:
        return False
    return True


def _directives(value: Any) -> tuple[str, ...]:
    if isinstance(value, Mapping):  # HTCondor's have names
        return tuple(f"{name} = {text}" for name, text in value.items())
    return (value,) if isinstance(value, str) else tuple(map(str, value))


def _take_walltime(text: str, values: dict[str, Any]) -> bool:
    """Take three numbers; two mean hours and minutes to LSF, minutes and seconds to Slurm."""
    match = _BARE_TIME.fullmatch(text)
    if match and match[1] is None:
        return False
    values["walltime"] = text
    return True


def _take_worker_options(options: list[str], values: dict[str, Any]) -> bool:
    words = [word for option in options for word in option.replace("=", " ").split()]
    found = dict(zip(words[::2], words[1::2], strict=False))
    if len(words) % 2 or not set(found) <= set(_PORT_OPTIONS):
        return False
    values.update({_PORT_OPTIONS[name]: text for name, text in found.items()})
    return True


def _take_scheduler_options(options: dict[str, Any], values: dict[str, Any]) -> bool:
    taken = {"port": "scheduler_ports", "contact_address": "contact_address"}
    taken |= {"interface": "interface", "contact-address": "contact_address"}
    if not set(options) <= set(taken):
        return False
    values.update({taken[name]: value for name, value in options.items()})
    return True


def _write(key: str, value: Any) -> str:
    """Write a value as TOML, from what the model makes of it, or as it stands."""
    if key in {"memory", "walltime"} or key.endswith("_ports"):
        return f'"{value}"'
    return describe_value(key, getattr(Site.model_validate({key: value}), key))
