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
import site
import sys
import sysconfig
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cloudpickle

from beampipe.errors import (
    ProcessorKindError,
    ProcessorLoadError,
    ProcessorNameError,
    ProcessorParamsError,
    ProcessorPickleError,
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
    """

    target: Any
    name: str
    source: str = ""
    origin: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)

    def process(self, events: Any) -> Any:
        """Call it on the events of one chunk."""
        if has_process(self.target):
            return self.target.process(events)
        return self.target(events)

    def postprocess(self, output: Any) -> Any:
        """Let a coffea processor finish the sum; a function's sum is returned as it is."""
        method = getattr(self.target, "postprocess", None)
        if not callable(method):
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
    name = getattr(target, "__name__", type(target).__name__)
    source, origin = _read_source(target)
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
        raise ProcessorKindError(
            f"{name} is no processor.",
            why=f"it is a {type(target).__name__}, neither callable nor with a `process` method",
            fix="give a function of events, or a coffea ProcessorABC",
        )
    return Processor(target, name, source, origin, params)


def _construct(cls: type, params: Mapping[str, Any]) -> Any:
    if not has_process(cls):
        raise ProcessorKindError(
            f"The class {cls.__name__} is no processor.",
            why="it has no `process` method",
            fix="derive it from coffea.processor.ProcessorABC, or give a function of events",
        )
    check_params(cls, params, n_positional=0, name=cls.__name__)
    return cls(**params)


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
    if not colon or not name.strip():
        place, name = str(text).rstrip(":"), ""
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
            del sys.modules[name]
            raise
    return module


def _import_module(name: str) -> types.ModuleType:
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    with _import_errors(name):
        return importlib.import_module(name)


@contextlib.contextmanager
def _import_errors(place: str) -> Iterator[None]:
    try:
        yield
    except (Exception, SystemExit) as error:  # anything may happen while user code is imported
        where = ""
        if isinstance(error, SyntaxError):
            where = f", line {error.lineno}"
        else:
            frames = [f for f in _frames(error) if f.filename == place]
            where = f", line {frames[-1].lineno}" if frames else ""
        raise ProcessorLoadError(
            f"{place} does not import.",
            why=f"{type(error).__name__}: {error}{where}",
            fix=f"see that `python {place}` runs" if place.endswith(".py") else "check the name",
        ) from error


def _frames(error: BaseException) -> list[Any]:
    import traceback

    return list(traceback.extract_tb(error.__traceback__))


def _read_source(target: Any) -> tuple[str, str]:
    if isinstance(target, functools.partial):
        return _read_source(target.func)
    if not isinstance(target, type) and has_process(target):
        target = type(target)
    try:
        return inspect.getsource(target), inspect.getsourcefile(target) or ""
    except (OSError, TypeError):
        return "", ""


def pickle_processor(processor: Processor, schema: Any) -> bytes:
    """Pickle what a worker needs; the user's own modules travel by value.

    A worker may see another file system, or have imported an older version of the module,
    so code that is not part of an installed package is sent along.

    Raises
    ------
    ProcessorPickleError
        ``processor-pickle``: says what stands in the way.
    """
    own = [module for module in list(sys.modules.values()) if is_own_module(module)]
    try:
        with _pickled_by_value(own):
            return bytes(cloudpickle.dumps((processor, schema)))
    except Exception as by_value:  # noqa: BLE001 (pickling runs code of any class)
        try:
            return bytes(cloudpickle.dumps((processor, schema)))
        except Exception:  # noqa: BLE001 (as above; the first error tells more)
            raise ProcessorPickleError(
                f"The processor {processor.name} cannot be sent to workers.",
                why=f"{type(by_value).__name__}: {by_value}",
                fix="open files, locks, connections and the like inside the function, not outside",
            ) from by_value


@contextlib.contextmanager
def _pickled_by_value(modules: list[types.ModuleType]) -> Iterator[None]:
    registered = []
    for module in modules:
        if module.__name__ not in cloudpickle.list_registry_pickle_by_value():
            cloudpickle.register_pickle_by_value(module)
            registered.append(module)
    try:
        yield
    finally:
        for module in registered:
            cloudpickle.unregister_pickle_by_value(module)


def is_own_module(module: types.ModuleType) -> bool:
    """Whether a module is the user's own code, not part of Python or of an installed package."""
    path = getattr(module, "__file__", None)
    name = getattr(module, "__name__", "")
    if not path or name in {"__main__", ""} or name.split(".")[0] == "beampipe":
        return False
    if sys.modules.get(name) is not module:
        return False
    return not any(str(path).startswith(folder) for folder in _installed_folders())


@functools.cache
def _installed_folders() -> tuple[str, ...]:
    folders = {*site.getsitepackages(), site.getusersitepackages()}
    paths = sysconfig.get_paths()
    folders |= {paths["stdlib"], paths["platstdlib"], paths["purelib"], paths["platlib"]}
    return tuple(sorted({str(Path(folder).resolve()) for folder in folders} | folders))
