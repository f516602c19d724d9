"""Layered settings, each value with its origin.

Later layers win: built-in defaults, ``/etc/beampipe/config.toml``,
``$XDG_CONFIG_HOME/beampipe/config.toml``, ``beampipe.toml`` in the working directory,
environment variables ``BEAMPIPE_<KEY>``, explicit arguments. Every layer is checked by itself,
so that an error names the file and line, variable or argument that caused it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    PrivateAttr,
)

from beampipe.error_rules import ErrorRule, parse_error_rules
from beampipe.errors import SettingsError
from beampipe.layers import (
    Vocabulary,
    check_layer,
    read_arguments,
    read_environment,
    read_file,
    unknown_key,
)
from beampipe.units import parse_memory, parse_optional_memory, refuse_bool

SYSTEM_FILE = Path("/etc/beampipe/config.toml")
LOCAL_FILE = Path("beampipe.toml")
ENV_PREFIX = "BEAMPIPE_"


def parse_budget(text: str | int) -> tuple[float | None, int | None]:
    """Turn ``"1%"`` into a share, and ``"100"`` into a number of events.

    Parameters
    ----------
    text : str or int
        A percentage of a dataset's events (``"1%"``, ``"0.5 %"``), or a number of events.

    Returns
    -------
    share : float or None
        Between 0 and 1.
    events : int or None
        One of the two is None.

    Raises
    ------
    ValueError
        It is neither, or more than 100 %.

    Examples
    --------
    >>> parse_budget("1 %"), parse_budget("1_000")
    ((0.01, None), (None, 1000))
    """
    match = re.fullmatch(r"\s*(\d[\d_]*(?:\.\d*)?|\.\d+)\s*(%?)\s*", str(text), re.ASCII)
    if match and match[2] and float(match[1]) <= 100:
        return float(match[1]) / 100, None
    if match and not match[2] and "." not in match[1]:
        return None, int(match[1])
    raise ValueError(
        f"{text!r} is neither a percentage of a dataset like '1%' nor a number of events like '100'"
    )


def _check_budget(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("a percentage or a number is needed here, not true or false")  # noqa: TRY004 for pydantic
    if isinstance(value, str | int | float):
        parse_budget(value)  # type: ignore[arg-type]
        return str(value).strip()
    return value


def parse_room(text: str | int) -> int:
    """Turn what a cache may take into bytes; ``"0"`` and ``"off"`` are none.

    Parameters
    ----------
    text : str or int
        As for :func:`parse_memory`, or 0, ``"0"``, ``"off"``.

    Returns
    -------
    int
        Room [bytes].

    Raises
    ------
    ValueError
        As for :func:`parse_memory`.

    Examples
    --------
    >>> parse_room("2 GB"), parse_room("off")
    (2000000000, 0)
    """
    return 0 if str(text).strip().lower() in {"0", "off"} else parse_memory(text)


def _parse_optional_room(value: Any) -> Any:
    return parse_room(value) if isinstance(value, str | int) else value


def _default_cache_dir() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "beampipe"


def _expand_user(value: Any) -> Any:
    return Path(value).expanduser() if isinstance(value, str | Path) else value


_NumberCheck = BeforeValidator(refuse_bool)
_MemoryCheck = BeforeValidator(parse_optional_memory)
_RoomCheck = BeforeValidator(_parse_optional_room)
_UserPath = Annotated[Path, BeforeValidator(_expand_user)]


class Settings(BaseModel):
    """What `load_settings` found; frozen.

    Attributes
    ----------
    chunksize : int
        Wanted chunk size [events].
    run_root : Path
        Where run directories are made; a relative path counts from the working directory.
    cache_dir : Path
        Where metadata of files is kept between runs.
    index_cache : int
        What the indexes of files may take there [bytes]; 0: none are kept.
    column_cache : int
        What columns that were read may take on the host of each worker [bytes], so that the next
        run over them reads no ROOT file; 0: none are kept. Never more than half of what is free.
    column_dir : Path or None
        Where they are kept, on that host; None is below its folder for temporary files
        (``TMPDIR``), unless that lies in memory.
    workers : int or None
        Worker processes of the embedded cluster; 0 runs in this process, None is one per core.
    memory_limit : int or None
        Memory of one worker [bytes]; None leaves it to Dask.
    checkpoint_s : float
        Shortest time between two commits [s].
    on_error : {"stop", "skip"}
        Whether the same bug, struck a few times, ends the run.
    max_failed : str
        With `on_error` ``"skip"``: how much of a dataset may fail, as a percentage of its events
        (``"1%"``) or a number of events (``"100"``), before the run stops.
    version_gate : {"stop", "warn", "off"}
        What versions that differ between here and the workers do.
    error_rules : tuple of ErrorRule
        The user's own rules of what kind an error is, before those of the table. The rules of
        all settings files count, those of the stronger file first.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=False)

    chunksize: Annotated[PositiveInt, _NumberCheck] = 250_000
    run_root: _UserPath = Path("beampipe-runs")
    cache_dir: _UserPath = Field(default_factory=_default_cache_dir)
    index_cache: Annotated[int, _RoomCheck, _NumberCheck] = 2_000_000_000
    column_cache: Annotated[int, _RoomCheck, _NumberCheck] = 10_000_000_000
    column_dir: _UserPath | None = None
    workers: Annotated[NonNegativeInt | None, _NumberCheck] = None
    memory_limit: Annotated[int | None, _MemoryCheck, _NumberCheck] = None
    checkpoint_s: Annotated[float, _NumberCheck, Field(gt=0, allow_inf_nan=False)] = 30.0
    on_error: Literal["stop", "skip"] = "stop"
    max_failed: Annotated[str, BeforeValidator(_check_budget)] = "100%"
    version_gate: Literal["stop", "warn", "off"] = "stop"

    error_rules: Annotated[tuple[ErrorRule, ...], BeforeValidator(parse_error_rules)] = ()

    _origins: dict[str, str] = PrivateAttr(default_factory=dict)

    def origin(self, name: str) -> str:
        """Where a value comes from.

        Parameters
        ----------
        name : str
            A key of the settings.

        Returns
        -------
        str
            ``"default"``, ``"/etc/beampipe/config.toml:3"``, ``"BEAMPIPE_CHUNKSIZE"`` or
            ``"argument"``.

        Raises
        ------
        SettingsError
            ``settings-invalid``: there is no such key.
        """
        if name not in KEYS:
            raise unknown_key(name, "Settings.origin", _WORDS)
        return self._origins.get(name, "default")


KEYS = tuple(Settings.model_fields)


_WORDS = Vocabulary(Settings, SettingsError, "setting", "settings file", ENV_PREFIX)


def load_settings(**overrides: Any) -> Settings:
    """Put the layers together.

    Parameters
    ----------
    **overrides
        Explicit arguments by key; None means that the argument was not given.

    Returns
    -------
    Settings
        Values with their origins.

    Raises
    ------
    SettingsError
        ``settings-invalid``: an unknown key (the closest names are given), a value of the wrong
        type (with file and line), or a file that cannot be read or is not TOML.
    """
    layers = [read_file(path, _WORDS) for path in settings_files()]
    layers += [read_environment(os.environ, _WORDS), read_arguments(overrides)]
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for layer in layers:
        checked = check_layer(layer, _WORDS)
        if "error_rules" in checked:  # a site's rules stay in force beside the user's
            checked["error_rules"] += values.get("error_rules", ())
        values |= checked
        origins |= layer.origins
    settings = Settings.model_construct(**{**Settings().model_dump(), **values})
    settings._origins.update(origins)  # noqa: SLF001 a private attribute of the class above
    return settings


def settings_files() -> tuple[Path, ...]:
    """The files that are looked at, the weakest first, whether they exist or not."""
    config_home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return (SYSTEM_FILE, config_home / "beampipe" / "config.toml", LOCAL_FILE)
