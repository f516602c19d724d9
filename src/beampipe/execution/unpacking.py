"""The processor out of its bytes, on a worker that may be importing in another thread, too.

Values that other workers hand over are unpacked in the thread of the worker's loop, and need some
of the modules that the processor needs. Where two threads import packages that import each other
in circles, Python lets one of them see half of a module, rather than both wait for ever.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

import cloudpickle

from beampipe.errors import ProcessorPickleError
from beampipe.execution.kernels import warm_kernels

if TYPE_CHECKING:
    from beampipe.execution.processors import Processor

_WAIT_S, _AGAIN_S = 10.0, 0.1
_HALF = "partially initialized module"


def import_early(payload: bytes) -> None:
    """Import what the processor needs, before anything else happens that could."""
    with contextlib.suppress(Exception):  # the bundle will tell
        cloudpickle.loads(payload)


def unpack_processor(payload: bytes) -> tuple[Processor, type | None]:
    """The processor, and the schema.

    Raises
    ------
    ProcessorPickleError
        ``processor-pickle``
    """
    try:
        processor, schema = _load(payload)
        warm_kernels()
    except Exception as error:  # unpickling runs code of any class
        raise ProcessorPickleError(
            "A worker cannot unpack the processor.",
            why=f"{type(error).__name__}: {error}",
            fix="the worker's environment must have the modules that the processor imports",
        ) from error
    return processor, schema


def _load(payload: bytes) -> Any:
    """Unpack; where another thread is at a module that is needed, wait until that is whole."""
    give_up = time.monotonic() + _WAIT_S
    while True:
        try:
            return cloudpickle.loads(payload)
        except ImportError as error:
            if _HALF not in str(error) or time.monotonic() > give_up:
                raise
        time.sleep(_AGAIN_S)
