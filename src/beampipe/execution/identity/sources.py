"""Modules that a function imports when it is called, compared by their files.

They need not be imported here, and importing them may take long or fail. A worker imports them
from their files, so the files count, and what these import in turn.
"""

from __future__ import annotations

import ast
import contextlib
import importlib.machinery
import importlib.util
import sys
import types
from pathlib import Path

from beampipe.environments.code_archive import ImportUse, find_module, list_imports
from beampipe.environments.own_code import is_installed
from beampipe.execution.identity.code import digest_code
from beampipe.execution.identity.model import MODULE, UnhashableError, combine, encode_text
from beampipe.execution.identity.packages import OURS, top_level
from beampipe.execution.identity.walk import Walk

_Spec = importlib.machinery.ModuleSpec


def describe_source(walk: Walk, use: ImportUse, package: str) -> bytes:
    """Digest an import: by name if it is installed, by its files if it is the user's own."""
    label = encode_text(f"{use.level} {use.name} {','.join(use.members)}")
    name = use.absolute(package)
    words = [label]
    for module in (name, *(f"{name}.{member}" for member in use.members)):
        word = _describe_module(walk, module, is_member=module != name)
        words += [word] if word else []
    return combine("import", *words)


def _describe_module(walk: Walk, name: str, *, is_member: bool) -> bytes | None:
    top = top_level(name)
    if top == OURS or top in sys.stdlib_module_names:
        walk.packages.add(top)
        return combine("module", name.encode())
    spec = find_module(name)
    if spec is None:
        return None if is_member else combine("missing")
    place = spec.origin or next(iter(spec.submodule_search_locations or ()), "")
    if spec.origin in {"built-in", "frozen"} or (place and is_installed(place)):
        walk.packages.add(top)
        return combine("module", name.encode())
    return walk.unit(_Source.of(name), MODULE + name, lambda: _describe_file(walk, name, spec))


class _Source:
    """Stands for a module that may not be loaded: the same object for the same name."""

    _known: dict[str, _Source] = {}  # noqa: RUF012 (kept on purpose)

    @classmethod
    def of(cls, name: str) -> _Source:
        return cls._known.setdefault(name, cls())


def _describe_file(walk: Walk, name: str, spec: _Spec) -> bytes:
    if spec.origin is None:  # a package without an __init__.py has nothing in it
        return combine("namespace")
    path = Path(spec.origin)
    try:
        content = path.read_bytes()
        if path.suffix != ".py":
            return combine("file", content)
        tree = ast.parse(content)
    except (OSError, SyntaxError, ValueError) as error:
        raise UnhashableError(f"{path.name} cannot be read: {error}") from error
    check_is_current(sys.modules.get(name), content, tree)
    package = name if spec.submodule_search_locations is not None else name.rpartition(".")[0]
    words = [encode_text(ast.dump(strip_docstrings(tree)))]
    words += [describe_source(walk, use, package) for use in list_imports(tree)]
    return combine("source", *words)


def strip_docstrings(tree: ast.Module) -> ast.Module:
    """Take the docstrings out of a module that was parsed."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(tree):
        if isinstance(node, kinds) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return tree


def check_is_current(module: types.ModuleType | None, content: bytes, tree: ast.Module) -> None:
    """Refuse a module that is loaded here in another form than its file has.

    This process would compute with the one, and its workers with the other.

    Raises
    ------
    UnhashableError
    """
    if module is None:
        return
    compiled = compile(content, module.__file__ or "", "exec", dont_inherit=True)
    codes = {one.co_name: one for one in compiled.co_consts if isinstance(one, types.CodeType)}
    for value in vars(module).values():
        if isinstance(value, types.FunctionType) and value.__module__ == module.__name__:
            code = codes.get(value.__name__)
            if code is not None and digest_code(code) != digest_code(value.__code__):
                raise _changed(module)
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            with contextlib.suppress(ValueError, TypeError, SyntaxError):
                stated = ast.literal_eval(node.value)
                if getattr(module, node.targets[0].id, stated) != stated:
                    raise _changed(module)


def _changed(module: types.ModuleType) -> UnhashableError:
    return UnhashableError(f"the file of {module.__name__} was changed after it was imported")
