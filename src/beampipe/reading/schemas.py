"""Which view of a file a processor asks for: coffea's schemas by name, or plain branches."""

from __future__ import annotations

import difflib
from typing import Any

from beampipe.errors import SchemaError

NO_SCHEMA = "none"
DEFAULT_SCHEMA = "NanoAODSchema"


def schema_names() -> tuple[str, ...]:
    """Give the names of coffea's schemas, as `resolve_schema` takes them.

    Returns
    -------
    tuple of str
        Sorted.
    """
    return tuple(sorted(_coffea_schemas()))


def resolve_schema(schema: str | type | None) -> type | None:
    """Find the schema class that somebody meant.

    Parameters
    ----------
    schema : str, type or None
        Name of a coffea schema, a class deriving from coffea's ``BaseSchema``, or None (also
        ``"none"``) for plain Awkward arrays of branches.

    Returns
    -------
    type or None
        The class; None for plain arrays.

    Raises
    ------
    SchemaError
        ``reading-schema``: no such name, or the class is no schema.
    """
    from coffea.nanoevents import BaseSchema  # a second of imports, only where files are read

    given: Any = schema  # whatever somebody passed, annotation or not
    if given is None:
        return None
    if isinstance(given, str):
        return _by_name(given)
    if isinstance(given, type) and issubclass(given, BaseSchema):
        return given
    raise SchemaError(
        f"{schema!r} is not a schema.",
        why="it is neither a name nor a class deriving from coffea's BaseSchema",
        fix=f"use one of {', '.join(schema_names())}, such a class, or None for plain branches",
    )


def check_schema(schema: str | type | None) -> str | type | None:
    """Find the schema that somebody meant, but leave the default a name.

    Who only passes it on to workers need not wait for coffea to be imported.

    Parameters
    ----------
    schema : str, type or None
        As for `resolve_schema`.

    Returns
    -------
    str, type or None
        What `resolve_schema` and `Reader` take.

    Raises
    ------
    SchemaError
        ``reading-schema``: no such name, or the class is no schema.
    """
    if schema is None or (isinstance(schema, str) and schema.lower() == NO_SCHEMA):
        return None
    return schema if schema == DEFAULT_SCHEMA else resolve_schema(schema)


def schema_name(schema: str | type | None) -> str:
    """Give the name under which a schema is recorded and shown.

    Parameters
    ----------
    schema : str, type or None
        As for `resolve_schema`.

    Returns
    -------
    str
        The bare name for coffea's own, ``module:name`` for others, ``"none"`` for plain branches.
    """
    found = check_schema(schema)
    if found is None:
        return NO_SCHEMA
    if isinstance(found, str):
        return found
    if found.__module__.startswith("coffea."):
        return found.__name__
    return f"{found.__module__}:{found.__qualname__}"


def _by_name(name: str) -> type | None:
    if name.lower() == NO_SCHEMA:
        return None
    known = _coffea_schemas()
    folded = {known_name.lower(): known_name for known_name in known}
    # "NanoAOD" is what people say; "NanoAODSchema" is what coffea's class is called.
    for candidate in (name.lower(), f"{name.lower()}schema"):
        if candidate in folded:
            return known[folded[candidate]]
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    raise SchemaError(
        f"There is no schema named {name!r}.",
        why=f"coffea has {', '.join(sorted(known))}",
        fix=f"did you mean {' or '.join(close)}?" if close else "use one of these, or 'none'",
    )


def _coffea_schemas() -> dict[str, type]:
    from coffea.nanoevents import BaseSchema, schemas

    exported: dict[str, Any] = {name: getattr(schemas, name) for name in schemas.__all__}
    return {
        name: value
        for name, value in exported.items()
        if isinstance(value, type) and issubclass(value, BaseSchema)
    }
