"""Fileset files: TOML, JSON and YAML, with the line and column of every mistake in them."""

from __future__ import annotations

import gzip
import json
import re
import tomllib
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from beampipe.datasets.file_errors import missing_error
from beampipe.errors import FilesetFileError

MERGE_TAG = "tag:yaml.org,2002:merge"
FILESET_SUFFIXES = (".toml", ".json", ".json.gz", ".yaml", ".yml")


def is_fileset_file(path: str) -> bool:
    """Tell from its name whether a path is a fileset file.

    Parameters
    ----------
    path : str
        Any path.

    Returns
    -------
    bool
        True for ``.toml``, ``.json``, ``.json.gz`` (as coffea writes it), ``.yaml``, ``.yml``.
    """
    return path.lower().endswith(FILESET_SUFFIXES)


def load_fileset_file(path: Path) -> Any:
    """Parse a fileset file.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    object
        What stands in it, as plain values.

    Raises
    ------
    FilesetFileError
        ``dataset-fileset-file``: it can't be read or parsed; names line and column.
    """
    text = _read_text(path)
    if path.name.lower().endswith(".toml"):
        parse: Callable[[str, Path], Any] = _parse_toml
    elif path.name.lower().endswith((".json", ".json.gz")):
        parse = _parse_json
    else:
        parse = _parse_yaml
    try:
        return parse(text, path)
    except RecursionError as error:
        raise _file_error(path, "it is nested too deeply", line=1, column=1) from error


def _read_text(path: Path) -> str:
    try:
        data = path.read_bytes()
        if path.name.lower().endswith(".gz"):
            data = gzip.decompress(data)
    except FileNotFoundError as error:
        missing = missing_error(str(path))
        raise FilesetFileError(
            f"There is no fileset file {path}.", why=missing.why, fix="correct the path"
        ) from error
    except (OSError, EOFError, zlib.error) as error:
        raise FilesetFileError(
            f"The fileset file {path} cannot be read.",
            why=getattr(error, "strerror", None) or str(error),
            fix="check that it is a file, that it is whole, and that you may read it",
        ) from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line, column = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        raise _file_error(path, "it is not UTF-8 text", line=line, column=column) from error


def _parse_toml(text: str, path: Path) -> Any:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        place = re.search(r"\(at line (\d+), column (\d+)\)", message)
        lines = text.split("\n")  # else it says "(at end of document)"
        line, column = (int(place[1]), int(place[2])) if place else (len(lines), len(lines[-1]) + 1)
        raise _file_error(path, message.partition(" (at ")[0], line=line, column=column) from error


def _parse_json(text: str, path: Path) -> Any:
    def refuse_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                raise _repeated_error(path, key, *_second_place(text, key))
            found[key] = value
        return found

    try:
        return json.loads(text, object_pairs_hook=refuse_repeats)
    except json.JSONDecodeError as error:
        raise _file_error(path, error.msg, line=error.lineno, column=error.colno) from error


def _second_place(text: str, key: str) -> tuple[int, int]:
    """Find where a key of a JSON object stands for the second time, as nearly as can be told."""
    places = list(re.finditer(re.escape(json.dumps(key, ensure_ascii=False)) + r"\s*:", text))
    at = places[1].start() if len(places) > 1 else 0
    return text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)


def _parse_yaml(text: str, path: Path) -> Any:
    # only who uses YAML pays for it
    import yaml

    class UniqueKeyLoader(yaml.SafeLoader):
        """YAML as it is meant: a key stands once, or half a fileset is silently lost."""

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> Any:  # noqa: FBT001, FBT002 as in PyYAML
            seen = set()
            for key_node, _ in node.value:
                if not isinstance(key_node, yaml.ScalarNode) or key_node.tag == MERGE_TAG:
                    continue
                if key_node.value in seen:
                    mark = key_node.start_mark
                    raise _repeated_error(path, key_node.value, mark.line + 1, mark.column + 1)
                seen.add(key_node.value)
            return super().construct_mapping(node, deep)

    try:
        return yaml.load(text, UniqueKeyLoader)  # noqa: S506 it derives from the safe loader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        why = " ".join(str(part) for part in (error.context, error.problem) if part)
        raise _file_error(path, why, line=line, column=column) from error
    except FilesetFileError:
        raise
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a day that no calendar has
        raise _file_error(path, str(error).splitlines()[0], line=1, column=1) from error


def _repeated_error(path: Path, key: str, line: int, column: int) -> FilesetFileError:
    return _file_error(path, f"the key {key!r} stands twice", line=line, column=column)


def _file_error(path: Path, why: str, *, line: int, column: int) -> FilesetFileError:
    return FilesetFileError(
        f"The fileset file {path} cannot be parsed at line {line}, column {column}.",
        why=why,
        fix=f"correct {path.name} there",
        path=str(path),
        line=line,
        column=column,
    )
