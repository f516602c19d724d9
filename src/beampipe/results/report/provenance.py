"""Provenance as lines of a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_TITLES = {
    "processor": "Processor",
    "schema": "Schema",
    "params": "Parameters",
    "source_sha256": "Source (sha256)",
    "plan_sha256": "Plan (sha256)",
}


def flatten_provenance(provenance: Mapping[str, Any]) -> list[tuple[str, str]]:
    """List everything but the versions as (title, text), what people look for first in front."""
    known = [name for name in _TITLES if name in provenance]
    apart = {*_TITLES, "versions", "identity"}
    rest = [name for name in provenance if name not in apart]
    lines = [
        line
        for name in (*known, *rest)
        for line in _flatten(_TITLES.get(name, _make_title(name)), provenance[name])
    ]
    identity = provenance.get("identity")
    return [*lines, *(_tell_identity(identity) if isinstance(identity, Mapping) else ())]


def _tell_identity(identity: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What was compared, with short values as they are and of everything else a digest."""
    parts = identity.get("parts", {})
    told = [
        f"{name} = {part['value']}" if part.get("value") else f"{name} {part['digest'][:8]}"
        for name, part in parts.items()
    ]
    unknown = [f"{name} ({why})" for name, why in identity.get("unhashable", {}).items()]
    lines = {
        "Identity": str(identity.get("digest", "")),
        "Compared": ", ".join(told),
        "Could not be compared": ", ".join(unknown),
    }
    return [(title, text) for title, text in lines.items() if text]


def _flatten(title: str, value: Any) -> list[tuple[str, str]]:
    if isinstance(value, Mapping):
        return [line for key, item in value.items() for line in _flatten(f"{title}: {key}", item)]
    if value is None or value == "":
        return []
    if isinstance(value, (list, tuple)):
        return [(title, ", ".join(map(str, value)))] if value else []
    return [(title, str(value))]


def _make_title(name: str) -> str:
    words = name.replace("_", " ")
    return words[:1].upper() + words[1:]
