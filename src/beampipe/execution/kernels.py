"""Functions that Numba compiles: sent like all code of the user, compiled once for a machine.

Numba keeps what it compiled beside the source file. On a worker there may be no such file, and
Numba forgets on the way that it was asked to keep anything, so every worker would compile
again. Here a kernel travels with a digest of all that it depends on, and whatever a worker
compiles of it is kept under that digest (see `compiled`).
"""

from __future__ import annotations

import threading
from typing import Any

from beampipe.execution.identity.describe import describe
from beampipe.execution.identity.model import UnhashableError
from beampipe.execution.identity.walk import Walk

_MOST = 256
_KNOWN: dict[str, Any] = {}
_NEW: list[Any] = []
_LOCK = threading.RLock()


def is_kernel(value: Any) -> bool:
    """Whether this is a function of Numba's for the processor, with ``cache=True``.

    Those with signatures of their own are left to Numba, which compiles them as it unpacks them.
    """
    kind = type(value)
    if not kind.__module__.startswith("numba.") or kind.__name__ != "CPUDispatcher":
        return False
    if not getattr(value, "_can_compile", False):
        return False
    return type(getattr(value, "_cache", None)).__name__ not in {"NullCache", "NoneType"}


def digest_kernel(kernel: Any) -> str:
    """Digest everything that compiled code depends on: what it calls, and globals by value.

    Numba looks at the one source file alone; a constant that is imported from another may change
    behind its back. Empty where something has no form that is the same in every process.
    """
    function = kernel.py_func
    try:
        return Walk(describe, str(function.__module__)).apart(kernel).hex()
    except (UnhashableError, RecursionError):
        return ""


def reduce_kernel(kernel: Any, digest: str) -> tuple[Any, ...]:
    """Give what pickle makes of a kernel: the function, how to compile it, and the digest."""
    return make_kernel, (type(kernel), kernel.py_func, dict(kernel.targetoptions), digest)


def make_kernel(kind: Any, function: Any, options: dict[str, Any], digest: str) -> Any:
    """Make a kernel anew, or give the one that was made of it before in this process.

    Processors are unpacked for every chunk: compiled code must outlive them.
    """
    with _LOCK:
        kernel = _KNOWN.get(digest)
        if kernel is not None:
            return kernel
        if len(_KNOWN) >= _MOST:
            _KNOWN.clear()
        kernel = _KNOWN[digest] = kind(function, targetoptions=options)
        _NEW.append((kernel, digest))
    return kernel


def warm_kernels() -> None:
    """Load what was compiled before of the kernels that have just arrived.

    Not while they are being unpacked: only afterwards do they have all that they refer to.
    """
    while True:
        with _LOCK:
            if not _NEW:
                return
            kernel, digest = _NEW.pop()
            # Numba is slow to import, and has been imported where there is a kernel.
            from beampipe.execution.compiled import keep_compiled

            keep_compiled(kernel, digest)
