"""What the shell offers when Tab is pressed: files, runs, schemas; quick, and never an error."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from beampipe.errors import BeampipeError


class FileOrName(click.types.StringParamType):
    """A file, or something that is none; the shell offers files."""

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Let the shell look for files."""
        del ctx, param
        return [CompletionItem(incomplete, type="file")]


class RunName(click.types.StringParamType):
    """A run directory, the name of one in the folder of runs, or ``latest``."""

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Offer the runs that there are, the newest first, and directories."""
        del ctx, param
        names = [name for name in known_runs() if name.startswith(incomplete)]
        return [*map(CompletionItem, names), CompletionItem(incomplete, type="dir")]


class SchemaName(click.types.StringParamType):
    """A coffea schema by name, or ``none``."""

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Offer coffea's schemas."""
        del ctx, param
        start = incomplete.lower()
        return [CompletionItem(name) for name in known_schemas() if name.lower().startswith(start)]


def known_runs() -> list[str]:
    """``latest`` and the names in the folder of runs; empty where that cannot be read."""
    from beampipe.execution.runs_index import LATEST, list_runs

    try:
        names = [path.name for path in list_runs()]
    except (BeampipeError, OSError):  # a prompt is no place for messages
        return []
    return [LATEST, *reversed(names)] if names else []


def known_schemas() -> list[str]:
    """The schemas of the coffea that is installed, read from its source; importing takes 2 s."""
    package = importlib.util.find_spec("coffea")
    if package is None or not package.origin:
        return []
    path = Path(package.origin).parent / "nanoevents" / "schemas" / "__init__.py"
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return []
    names = [
        element.value
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
        for element in getattr(node.value, "elts", [])
        if isinstance(element, ast.Constant) and isinstance(element.value, str)
    ]
    return [*(name for name in names if "Schema" in name), "none"]
