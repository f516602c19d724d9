"""Whether HTCondor is asked through its Python bindings, or by its commands."""

from __future__ import annotations

import functools
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterable
from importlib.util import find_spec
from typing import Final

from beampipe.batch.htcondor_bindings import CALLS, HTCondorBindings
from beampipe.batch.model import Dialect
from beampipe.batch.registry import DIALECTS

logger = logging.getLogger(__name__)

MODULE: Final = "htcondor2"
_CHECK_S: Final = 10.0


def choose_dialect(
    system: str, *, use_bindings: bool = True, directives: Iterable[str] = ()
) -> Dialect | None:
    """The language of a batch system, in the form in which it can be spoken here.

    Parameters
    ----------
    system : str
        As in a site's profile.
    use_bindings : bool
        Whether HTCondor's bindings are used where they can be.
    directives : iterable of str
        A site's. Options of ``condor_submit`` among them are for the command alone.
    """
    plain = DIALECTS.get(system)
    if system != "htcondor" or not use_bindings or any(text.startswith("-") for text in directives):
        return plain
    if find_spec(MODULE) is None:
        return plain
    version, why = _check_bindings(os.environ.get("CONDOR_CONFIG", ""))
    if not version:
        logger.info("HTCondor's Python bindings are here and cannot be used: %s", why)
        return plain
    return HTCondorBindings(python=sys.executable, version=version)


def describe_way(dialect: Dialect) -> str:
    """How a batch system is asked, for people.

    >>> describe_way(HTCondorBindings(version="25.14.1"))
    'HTCondor is asked through its Python bindings (htcondor2 25.14.1)'
    >>> describe_way(DIALECTS["lsf"])
    'lsf is asked by its commands: bsub, bjobs, bkill, bresume'
    """
    if isinstance(dialect, HTCondorBindings):
        return f"HTCondor is asked through its Python bindings ({MODULE} {dialect.version})"
    return f"{dialect.name} is asked by its commands: {', '.join(dialect.commands)}"


def explain_missing(dialect: Dialect, missing: Iterable[str]) -> str:
    """Why a batch system cannot be asked here: its commands, and the bindings that could do."""
    commands = f"not on PATH: {', '.join(missing)}"
    if dialect.name != "htcondor":
        return commands
    if find_spec(MODULE) is None:
        return f"{commands}; nor are its Python bindings (pip install 'beampipe[htcondor]')"
    _, why = _check_bindings(os.environ.get("CONDOR_CONFIG", ""))
    return f"{commands}; its Python bindings: {why or 'they are not to be used'}"


@functools.lru_cache(maxsize=4)
def _check_bindings(_configuration: str) -> tuple[str, str]:
    """Ask the queue for nothing: the bindings' version; else nothing, and why."""
    command = [sys.executable, "-P", "-m", CALLS, "check"]
    try:
        done = subprocess.run(  # noqa: S603 (our own program)
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_CHECK_S,
        )
    except subprocess.TimeoutExpired:
        return "", f"its queue gave no answer within {_CHECK_S:g} s"
    if done.returncode:
        return "", done.stderr.strip()[-500:]
    return json.loads(done.stdout)["version"], ""
