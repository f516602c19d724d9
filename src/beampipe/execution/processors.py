"""From what the user gives as a processor to something that can be called and shipped."""

from __future__ import annotations

import contextlib
import difflib
import functools
import hashlib
import importlib
import importlib.util
import inspect
import re
import shlex
import sys
import traceback
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from beampipe.environments.own_code import is_installed
from beampipe.errors import (
    ProcessorKindError,
    ProcessorLoadError,
    ProcessorNameError,
    ProcessorParamsError,
)


@dataclass(frozen=True, slots=True)
class Processor:
    """A function of events, or a coffea processor, ready to be called.

    Attributes
    ----------
    target : callable or ProcessorABC
        What is shipped to workers.
    name : str
        For people.
    source : str
        Its source text, empty where there is none (typed at a prompt, compiled).
    origin : str
        The file it came from, or empty.
    params : dict
        Keyword arguments that are bound to it.
    is_made_here : bool
        Whether it is an instance that was made of a class, with `params`.
    """

    target: Any
    name: str
    source: str = ""
    origin: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    is_made_here: bool = False

    def process(self, events: Any) -> Any:
        """Call it on the events of one chunk."""
        if has_process(self.target):
            return self.target.process(events)
        return self.target(events)

    def postprocess(self, output: Any) -> Any:
        """Let a coffea processor finish the sum; a function's sum is returned as it is.

        Where no chunk was done there is no sum, and nothing to finish.
        """
        method = getattr(self.target, "postprocess", None)
        if not callable(method) or output is None:
            return output
        finished = method(output)
        return output if finished is None else finished

    @property
    def source_sha256(self) -> str:
        """Digest of the source text; empty where there is none."""
        return hashlib.sha256(self.source.encode()).hexdigest() if self.source else ""


def has_process(target: Any) -> bool:
    """Whether this is a coffea processor (or looks like one); coffea need not be imported."""
    return callable(getattr(target, "process", None))


def load_processor(given: Any, params: Mapping[str, Any] | None = None) -> Processor:
    """Make a `Processor` of a function, a coffea processor (instance or class), or a name.

    Parameters
    ----------
    given : callable, ProcessorABC, type or str
        A string is ``file.py:name`` or ``package.module:name``.
    params : dict, optional
        Keyword arguments of a function, constructor arguments of a class.

    Raises
    ------
    ProcessorLoadError, ProcessorNameError, ProcessorKindError, ProcessorParamsError
    """
    params = dict(params or {})
    if isinstance(given, Processor):
        return given
    target = find_named(given) if isinstance(given, (str, Path)) else given
    name = _name_of(target)
    source, origin = _read_source(target)
    is_class = isinstance(target, type)
    if isinstance(target, type):
        target = _construct(target, params)
    elif has_process(target):
        if params:
            raise ProcessorParamsError(
                f"The processor {name} is made already and takes no parameters.",
                why=f"params {sorted(params)} were given with an instance",
                fix="give the class and its params, or the instance alone",
            )
    elif callable(target):
        check_params(target, params, n_positional=1, name=name)
        target = functools.partial(target, **params) if params else target
    if not callable(target) and not has_process(target):
        shown = given if isinstance(given, (str, Path)) else f"{given!r:.80}"
        raise ProcessorKindError(
            f"{shown} is no processor.",
            why=f"its type is {type(target).__name__}: neither a function nor with a method "
            "`process`",
            fix="give a function of events, or a coffea ProcessorABC",
        )
    return Processor(target, name, source, origin, params, is_class)


def _name_of(target: Any) -> str:
    if isinstance(target, functools.partial):
        return _name_of(target.func)
    return str(getattr(target, "__name__", type(target).__name__))


def _construct(cls: type, params: Mapping[str, Any]) -> Any:
    if not has_process(cls):
        raise ProcessorKindError(
            f"The class {cls.__name__} is no processor.",
            why="it has no `process` method",
            fix="derive it from coffea.processor.ProcessorABC, or give a function of events",
        )
    check_params(cls, params, n_positional=0, name=cls.__name__)
    try:
        return cls(**params)
    except Exception as error:  # the user's code, which may raise anything
        raise ProcessorParamsError(
            f"The processor {cls.__name__} cannot be made.",
            why=_where_it_failed(error),
            fix=f"see that {cls.__name__}(...) works with these params: {sorted(params)}",
        ) from error


def check_params(
    target: Callable[..., Any], params: Mapping[str, Any], *, n_positional: int, name: str
) -> None:
    """See that parameters fit a signature before anything is sent anywhere.

    Raises
    ------
    ProcessorParamsError
        ``processor-params``: names the parameter, and the closest one that there is.
    """
    try:
        signature = inspect.signature(target)
    except (TypeError, ValueError):  # compiled callables have none
        return
    try:
        signature.bind(*[None] * n_positional, **params)
    except TypeError as error:
        known = list(signature.parameters)[n_positional:]
        close = [
            match
            for unknown in params
            if unknown not in known
            for match in difflib.get_close_matches(unknown, known, 1)
        ]
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise ProcessorParamsError(
            f"The parameters do not fit the processor {name}.",
            why=str(error),
            fix=f"{hint}its signature is {name}{signature}",
        ) from error


def find_named(text: str | Path) -> Any:
    """Import ``file.py:name`` or ``package.module:name``.

    Raises
    ------
    ProcessorLoadError
        ``processor-load``: the file is missing or does not import.
    ProcessorNameError
        ``processor-name``: it has no such name; the candidates are named.
    """
    place, colon, name = str(text).rpartition(":")
    name = name.strip()
    if not colon or Path(text).is_file():  # a file's own name may hold a colon
        place, name = str(text), ""
    module = _import_file(Path(place)) if _is_file(place) else _import_module(place)
    candidates = list_candidates(module)
    if not name:
        if len(candidates) == 1:
            return getattr(module, candidates[0])
        raise ProcessorNameError(
            f"No processor is named in {str(text)!r}.",
            why=f"{place} has {_spell(candidates)}",
            fix=f"write {place}:{candidates[0] if candidates else 'NAME'}",
        )
    target: Any = module
    for part in name.split("."):
        if not hasattr(target, part):
            close = difflib.get_close_matches(name, candidates, 1) or candidates[:1]
            raise ProcessorNameError(
                f"{place} has no {name!r}.",
                why=f"it has {_spell(candidates)}",
                fix=f"write {place}:{close[0]}" if close else "define it there",
            )
        target = getattr(target, part)
    return target


def _spell(names: list[str]) -> str:
    return ", ".join(names) if names else "no function or processor of its own"


def _is_file(place: str) -> bool:
    return place.endswith(".py") or "/" in place or Path(place).is_file()


def list_candidates(module: types.ModuleType) -> list[str]:
    """The functions and processor classes that a module defines itself."""
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and getattr(value, "__module__", None) == module.__name__
        and (inspect.isfunction(value) or (isinstance(value, type) and has_process(value)))
    ]


def _import_file(path: Path) -> types.ModuleType:
    path = path.expanduser().resolve()
    if not path.is_file():
        raise ProcessorLoadError(
            f"The processor's file {path} cannot be read.",
            why="there is no such file" if not path.exists() else "it is not a file",
            fix="check the path; write FILE.py:NAME",
        )
    # Modules beside the file import as they do when it is run as a script.
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    importlib.invalidate_caches()  # it may have been written a moment ago
    name = re.sub(r"\W", "_", path.stem) or "processor"
    if name in sys.modules and getattr(sys.modules[name], "__file__", None) != str(path):
        name = f"{name}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ProcessorLoadError(
            f"The processor's file {path} is not Python.", fix="give a file that ends in .py"
        )
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    with _import_errors(str(path)):
        try:
            spec.loader.exec_module(module)
        except BaseException:
            sys.modules.pop(name, None)
            raise
    return module


def _import_module(name: str) -> types.ModuleType:
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    importlib.invalidate_caches()
    with _import_errors(name):
        return importlib.import_module(name)


@contextlib.contextmanager
def _import_errors(place: str) -> Iterator[None]:
    try:
        yield
    except (Exception, SystemExit) as error:  # anything may happen while user code is imported
        raise ProcessorLoadError(
            f"{place} does not import.",
            why=_where_it_failed(error),
            fix=f"see that `python {shlex.quote(place)}` runs"
            if place.endswith(".py")
            else "check the name; a file is written FILE.py:NAME",
        ) from error


def _where_it_failed(error: BaseException) -> str:
    if isinstance(error, SyntaxError):  # its own text repeats file and line
        return f"{type(error).__name__}: {error.msg} ({error.filename}, line {error.lineno})"
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename != __file__ and not is_installed(frame.filename)
    ]
    where = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{where}"


def _read_source(target: Any) -> tuple[str, str]:
    if isinstance(target, functools.partial):
        return _read_source(target.func)
    if not inspect.isroutine(target) and not isinstance(target, type):
        target = type(target)
    try:
        return inspect.getsource(target), inspect.getsourcefile(target) or ""
    except (OSError, TypeError, SyntaxError):
        return "", ""
