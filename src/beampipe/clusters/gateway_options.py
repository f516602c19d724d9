"""The options of a gateway: what it offers, and what a site's profile says in its words."""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from beampipe.clusters.site import Site
from beampipe.errors import GatewayOptionError

# What gateways call what our profiles have a key for; the first that is offered is meant.
NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "queue": ("queue", "partition"),
    "account": ("account", "project"),
    "cores": ("worker_cores", "cores", "worker_cpus", "cpus"),
    "memory": ("worker_memory", "memory"),
    "venv": ("venv", "virtualenv"),
    "conda": ("conda_env", "conda_environment"),
    "pixi": ("pixi_project",),
    "apptainer": ("image", "worker_image"),
    "variables": ("env", "environment", "environment_vars", "environment_variables"),
}
# Gateways count memory in GiB unless an option's label says otherwise.
_UNITS: Final = {
    "gib": 2**30,
    "mib": 2**20,
    "gb": 10**9,
    "mb": 10**6,
    "bytes": 1,
}
_UNIT = re.compile(r"\b(GiB|MiB|GB|MB|bytes)\b", re.IGNORECASE)
_KINDS: Final[Mapping[str, tuple[type, ...]]] = {
    "string": (str,),
    "bool": (bool,),
    "integer": (int,),
    "float": (int, float),
    "select": (str,),
    "mapping": (Mapping,),
}
_WORDS: Final = {
    "string": "a text",
    "bool": "true or false",
    "integer": "a whole number",
    "float": "a number",
    "select": "a text",
    "mapping": "a table",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """One option that a gateway offers.

    Attributes
    ----------
    name : str
    kind : str
        ``"string"``, ``"bool"``, ``"integer"``, ``"float"``, ``"select"`` or ``"mapping"``;
        another one is passed on without a look.
    label : str
        What it means, for people.
    default : object
    least, most : float or None
        Of a number.
    choices : tuple of str
        Of a select.
    """

    name: str
    kind: str
    label: str = ""
    default: Any = None
    least: float | None = None
    most: float | None = None
    choices: tuple[str, ...] = ()

    @property
    def bounds(self) -> str:
        """What it takes, in words for people; empty where that is anything of its type."""
        if self.choices:
            return "one of " + ", ".join(f"'{choice}'" for choice in self.choices)
        if self.least is None and self.most is None:
            return ""
        if self.most is None:
            return f"at least {self.least:g}"
        return (
            f"at most {self.most:g}" if self.least is None else f"{self.least:g} to {self.most:g}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What is sent for one option, and where that comes from."""

    option: Offered
    value: Any
    origin: str


def read_offer(options: Any) -> dict[str, Offered]:
    """Read what `dask_gateway.Gateway.cluster_options` gives.

    Parameters
    ----------
    options : dask_gateway.options.Options
    """
    return {
        name: Offered(
            name=name,
            kind=type(each).__name__.lower(),
            label=each.label or name,
            default=each.get(),
            least=getattr(each, "min", None),
            most=getattr(each, "max", None),
            choices=tuple(getattr(each, "options", ())),
        )
        for name, each in options._fields.items()
    }


def choose_options(
    site: Site, offered: Mapping[str, Offered], configured: Mapping[str, Any]
) -> dict[str, Choice]:
    """Put what a site says into a gateway's words.

    Parameters
    ----------
    site : Site
    offered : dict of Offered
        By name.
    configured : dict
        Options in dask-gateway's own configuration. A facility sets them for its notebooks; those
        that this gateway does not offer belong to another one.

    Raises
    ------
    GatewayOptionError
        ``gateway-option``: one is not offered, has the wrong type, or is out of bounds.
    """
    chosen = {
        name: _choose(offered[name], value, "dask-gateway's configuration")
        for name, value in configured.items()
        if name in offered
    }
    by_key = {}
    for key, value in _said_by(site):
        option = _find_option(site, key, offered)
        origin = f"`{key}` ({site.origin(key)})"
        by_key[option.name] = chosen[option.name] = _choose(
            option, _translate(option, key, value), origin
        )
    for name, value in site.gateway_options.items():
        origin = f"`gateway_options` ({site.origin('gateway_options')})"
        if name not in offered:
            raise _unknown(name, origin, offered)
        choice = _choose(offered[name], value, origin)
        if name in by_key and by_key[name].value != choice.value:
            raise GatewayOptionError(
                f"The option '{name}' has two values.",
                why=f"one from {by_key[name].origin}, another from {origin}",
                fix="leave out one of them",
                option=name,
            )
        chosen[name] = choice
    return chosen


def _said_by(site: Site) -> Iterator[tuple[str, Any]]:
    """The keys with a meaning for a gateway that somebody has set."""
    for key in NAMES:
        value = getattr(site, key)
        if key == "variables":
            value = {**_forwarded(site.gateway_variables), **value}
            if value:
                yield key, value
        elif site.origin(key) != "default" and value:
            yield key, value


def _forwarded(names: Iterable[str]) -> dict[str, str]:
    return {name: os.environ[name] for name in names if name in os.environ}


def _find_option(site: Site, key: str, offered: Mapping[str, Offered]) -> Offered:
    for name in NAMES[key]:
        option = offered.get(name)
        if option is not None and (key != "variables" or option.kind == "mapping"):
            return option
    raise GatewayOptionError(
        f"The gateway has no option for `{key}` of site '{site.name}'.",
        why=f"it stands in {site.origin(key)}; the gateway offers {_list(offered)}",
        fix=f"leave out `{key}`, or set what is meant in `gateway_options`",
        option=key,
    )


def _translate(option: Offered, key: str, value: Any) -> Any:
    """Give a value the form that the option wants."""
    if key == "memory":
        return _translate_memory(option, value)
    if key == "variables":
        return dict(value)
    return str(value) if option.kind in {"string", "select"} else value


def _translate_memory(option: Offered, memory_bytes: int) -> Any:
    if option.kind in {"string", "select"}:
        whole = memory_bytes % 2**30 == 0
        return f"{memory_bytes // 2**30}G" if whole else f"{memory_bytes // 2**20}M"
    unit = _UNIT.search(option.label)
    size = _UNITS[unit[1].lower()] if unit else 2**30
    amount = memory_bytes / size
    if option.kind == "integer" and not amount.is_integer():
        raise GatewayOptionError(
            f"The option '{option.name}' does not take this amount of memory.",
            why=f"it counts in whole {unit[1] if unit else 'GiB'}; `memory` is {amount:g}",
            fix="round `memory`",
            option=option.name,
        )
    return int(amount) if amount.is_integer() else round(amount, 3)


def _choose(option: Offered, value: Any, origin: str) -> Choice:
    """Check a value by what its option takes.

    Raises
    ------
    GatewayOptionError
    """
    kinds = _KINDS.get(option.kind)
    is_of_kind = kinds is None or isinstance(value, kinds)
    if not is_of_kind or (isinstance(value, bool) and option.kind in {"integer", "float"}):
        raise _refuse(option, value, f"it takes {_WORDS[option.kind]}", origin)
    if option.choices and value not in option.choices:
        close = difflib.get_close_matches(value, option.choices, n=2)
        hint = f"did you mean '{close[0]}'?" if close else ""
        raise _refuse(option, value, f"it takes {option.bounds}", origin, hint)
    too_little = option.least is not None and value < option.least
    if too_little or (option.most is not None and value > option.most):
        raise _refuse(option, value, f"it takes {option.bounds}", origin)
    return Choice(option=option, value=value, origin=origin)


def _refuse(
    option: Offered, value: Any, takes: str, origin: str, hint: str = ""
) -> GatewayOptionError:
    # A table may hold what is nobody's business.
    shown = f"a {type(value).__name__}" if isinstance(value, Mapping) else repr(value)
    return GatewayOptionError(
        f"The option '{option.name}' does not take {shown}.",
        why=f"{takes}; the value comes from {origin}",
        fix=hint or f"correct it there, or leave it out (then it is {option.default!r})",
        option=option.name,
    )


def _unknown(name: str, origin: str, offered: Mapping[str, Offered]) -> GatewayOptionError:
    close = difflib.get_close_matches(name, offered, n=3)
    known = ", ".join(f"'{each}'" for each in close)
    return GatewayOptionError(
        f"The gateway has no option '{name}'.",
        why=f"it stands in {origin}",
        fix=f"did you mean {known}?" if close else f"it offers {_list(offered)}",
        option=name,
        known=tuple(offered),
    )


def _list(offered: Mapping[str, Offered]) -> str:
    return ", ".join(f"'{name}'" for name in offered) or "none"


def describe_choices(chosen: Mapping[str, Choice], offered: Mapping[str, Offered]) -> str:
    """Write what would be sent, and what else is offered, with what it means."""
    lines = ["# Sent:" if chosen else "# Nothing is sent; the gateway's defaults hold."]
    for name, choice in chosen.items():
        meaning = _join(choice.option.label, choice.option.bounds, f"from {choice.origin}")
        lines.append(f"{name} = {_show(choice.value)}  # {meaning}")
    rest = {name: option for name, option in offered.items() if name not in chosen}
    lines += ["# Offered besides, with the gateway's defaults:"] if rest else []
    for name, option in rest.items():
        lines.append(f"# {name} = {_show(option.default)}  # {_join(option.label, option.bounds)}")
    return "\n".join(lines) + "\n"


def _show(value: Any) -> str:
    # Variables are shown by name alone: a value may be a secret.
    return "{ " + ", ".join(value) + " }" if isinstance(value, Mapping) else json.dumps(value)


def _join(*parts: str) -> str:
    return "; ".join(filter(None, parts))
