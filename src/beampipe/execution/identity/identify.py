"""The identity of a run: everything that its result is known to depend on."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from beampipe.errors import ArgumentError
from beampipe.execution.identity.describe import describe
from beampipe.execution.identity.model import Identity, Part, UnhashableError, combine
from beampipe.execution.identity.packages import describe_packages
from beampipe.execution.identity.walk import Walk, show_value
from beampipe.execution.processors import Processor

_BLOCK = 1 << 20


def identify(
    processor: Processor,
    *,
    schema: str | type | None,
    metadata: Mapping[str, Mapping[str, Any]],
    inputs: Iterable[str | Path] = (),
) -> Identity:
    """Find out what a run computes.

    Parameters
    ----------
    processor : Processor
        With its parameters.
    schema : str, type or None
        The name of one of coffea's, a class, or None for plain branches.
    metadata : mapping of str to mapping
        What the processor is told of each dataset.
    inputs : iterable of path
        Files (or folders) that the processor reads besides the ROOT files.

    Raises
    ------
    ArgumentError
        ``run-argument``: a declared input cannot be read.
    """
    target = _without_params(processor)
    walk = Walk(describe, _module_of(target))
    _add(walk, "processor", lambda: walk.value(target))
    for name, value in processor.params.items():
        _add(walk, f"parameter {name}", lambda value=value: walk.value(value), value)
    _add(walk, "schema", lambda: _describe_schema(walk, schema), schema)
    for name, digest in _describe_inputs(inputs):
        walk.parts[name] = Part(digest)
    walk.parts.update(describe_packages(walk.packages))
    return Identity(
        parts=walk.parts,
        unhashable=walk.unhashable,
        datasets={name: digest_metadata(told) for name, told in metadata.items()},
        module=walk.main,
    )


def _add(walk: Walk, name: str, make: Any, value: Any = None) -> None:
    try:
        walk.parts[name] = Part(make().hex(), "" if value is None else show_value(name, value))
    except UnhashableError as error:
        walk.unhashable[name] = str(error)
    except RecursionError:
        walk.unhashable[name] = "it is nested too deeply"


def _without_params(processor: Processor) -> Any:
    """The function itself: what was bound to it is compared parameter by parameter."""
    import functools

    target = processor.target
    if processor.params and type(target) is functools.partial and not target.args:
        return target.func
    return target


def _module_of(target: Any) -> str:
    import functools

    while isinstance(target, functools.partial):
        target = target.func
    named = target if isinstance(target, type) or hasattr(target, "__qualname__") else type(target)
    return str(getattr(named, "__module__", None) or "")


def _describe_schema(walk: Walk, schema: str | type | None) -> bytes:
    if isinstance(schema, type) and schema.__module__.startswith("coffea."):
        return combine("schema", schema.__name__.encode())
    if isinstance(schema, str):
        return combine("schema", schema.encode())
    return walk.value(schema)


def digest_metadata(told: Mapping[str, Any]) -> str:
    """Digest what a processor is told of a dataset; empty where it cannot be compared."""
    try:
        words = [Walk(describe).value([name, told[name]]) for name in sorted(told)]
    except (UnhashableError, RecursionError):
        return ""
    return combine("metadata", *words).hex()


def _describe_inputs(inputs: Iterable[str | Path]) -> list[tuple[str, str]]:
    """Declared files by what is in them, under their bare names: a folder may move."""
    found: list[tuple[str, str]] = []
    for given in inputs:
        path = Path(given).expanduser()
        try:
            digest = _digest_path(path)
        except OSError as error:
            raise ArgumentError(
                f"The declared input {path} cannot be read.",
                why=error.strerror or str(error),
                fix="correct `inputs` (--input), or leave the file out",
            ) from error
        found.append((f"input {path.name}", digest))
    found.sort()
    named: dict[str, str] = {}
    for name, digest in found:
        number = sum(known.partition(" #")[0] == name for known in named) + 1
        named[name if number == 1 else f"{name} #{number}"] = digest
    return list(named.items())


def _digest_path(path: Path) -> str:
    if not path.is_dir():
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    files = sorted(Path(folder, name) for folder, _, names in os.walk(path) for name in names)
    words = [word for file in files for word in (os.fsencode(file.relative_to(path)), file)]
    return combine(
        "folder",
        *(_digest_path(word).encode() if isinstance(word, Path) else word for word in words),
    ).hex()
