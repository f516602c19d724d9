"""Values from several places, each checked where it stands: for settings and site profiles.

A layer is a TOML file, the environment or a call's arguments. Each is checked by itself, so that
an error names the file and line, variable or argument that caused it.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from beampipe.errors import BeampipeError


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What may stand in a layer, and what it is called when it does not.

    Attributes
    ----------
    model : type of pydantic.BaseModel
        Every field has a default.
    error : type of BeampipeError
        What is raised.
    key_noun, file_noun : str
        For its messages: "setting", "settings file".
    prefix : str
        Of environment variables.
    """

    model: type[BaseModel]
    error: type[BeampipeError]
    key_noun: str
    file_noun: str
    prefix: str

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys, in their order."""
        return tuple(self.model.model_fields)


@dataclass(frozen=True, slots=True)
class Layer:
    """Raw values of one source, and how to say where each of them stands."""

    values: Mapping[str, Any]
    origins: Mapping[str, str] = field(default_factory=dict)


def read_file(path: Path, words: Vocabulary) -> Layer:
    """Read one TOML file; one that does not exist has no values.

    Raises
    ------
    BeampipeError
        Of the vocabulary's kind: it cannot be read, or is no TOML.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Layer({})
    except (OSError, UnicodeDecodeError) as error:
        raise words.error(
            f"The {words.file_noun} '{path}' cannot be read.",
            why=str(error),
            fix="make it a readable UTF-8 file, or move it away",
            origin=str(path),
        ) from error
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise words.error(
            f"The {words.file_noun} '{path}' is not valid TOML.",
            why=str(error),
            fix="mend that line; strings need quotes, and a key stands once",
            origin=str(path),
        ) from error
    return Layer(values, {key: f"{path}{_line_of(key, text)}" for key in values})


def _line_of(key: str, text: str) -> str:
    """The place of a top-level key as ``:3``, which tomllib does not tell."""
    pattern = re.compile(rf"\s*\[*\s*[\"']?{re.escape(key)}[\"']?\s*[].=]")
    for number, line in enumerate(text.splitlines(), start=1):
        if pattern.match(line):
            return f":{number}"
    return ""


def read_environment(environment: Mapping[str, str], words: Vocabulary) -> Layer:
    """Take the variables that are ours; one that is nearly ours is a slip of the pen.

    Others with the prefix (``BEAMPIPE_DEADLINE`` on workers) belong to other parts.
    """
    values: dict[str, str] = {}
    origins: dict[str, str] = {}
    for variable, value in environment.items():
        key = variable.removeprefix(words.prefix).lower()
        if not variable.startswith(words.prefix) or not value:
            continue
        if key in words.keys:
            values[key] = value
            origins[key] = variable
        elif difflib.get_close_matches(key, words.keys, cutoff=0.8):
            raise unknown_key(key, variable, words, words.prefix)
    return Layer(values, origins)


def read_arguments(given: Mapping[str, Any]) -> Layer:
    """Take a call's arguments; None means that one was not given."""
    values = {key: value for key, value in given.items() if value is not None}
    return Layer(values, dict.fromkeys(values, "argument"))


def check_layer(layer: Layer, words: Vocabulary) -> dict[str, Any]:
    """Check the values of one layer.

    Returns
    -------
    dict
        Its values as the model has them; keys that it does not set are left out.

    Raises
    ------
    BeampipeError
        Of the vocabulary's kind: an unknown key (the closest names are given), or a value that
        cannot be used, with where it stands.
    """
    for key in layer.values:
        if key not in words.keys:
            raise unknown_key(key, layer.origins[key], words)
    try:
        checked = words.model.model_validate(dict(layer.values))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = str(first["loc"][0])
        origin = layer.origins[key]
        default = getattr(words.model(), key)
        raise words.error(
            f"The {words.key_noun} '{key}' has a value that cannot be used.",
            why=f"{origin}: {first['msg'].removeprefix('Value error, ')}, got {first['input']!r}",
            fix=f"correct `{key}` there, or leave it out (default: {default})",
            key=key,
            origin=origin,
        ) from error
    return {key: getattr(checked, key) for key in checked.model_fields_set}


def unknown_key(key: str, origin: str, words: Vocabulary, prefix: str = "") -> BeampipeError:
    """The error about a key that does not exist; its remedy names the closest."""
    close = difflib.get_close_matches(key, words.keys, n=3)
    known = _quote(words.keys, prefix)
    return words.error(
        f"There is no {words.key_noun} '{key}'.",
        why=f"it stands in {origin}",
        fix=f"did you mean {_quote(close, prefix)}?" if close else f"known: {known}",
        key=key,
        origin=origin,
    )


def _quote(keys: Iterable[str], prefix: str) -> str:
    return ", ".join(f"`{prefix}{key.upper()}`" if prefix else f"`{key}`" for key in keys)
