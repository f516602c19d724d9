"""Reads a little of files behind URLs, to see whether and how quickly that goes from this host.

It runs in a process of its own, ``python -m beampipe.datasets.storage_probe``: a storage client may
hang in a place where no exception reaches it. URLs may hold secrets, so they never are arguments.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from typing import Final

from beampipe.datasets.file_errors import HEADER_BYTES, explain_beginning, explain_file_error
from beampipe.datasets.remote_options import storage_options
from beampipe.errors import DatasetError

READ_BYTES: Final = 2**20
# The client of XRootD waits for minutes unless it is told otherwise.
_IMPATIENCE: Final = {
    "XRD_CONNECTIONWINDOW": "8",
    "XRD_CONNECTIONRETRY": "1",
    "XRD_REQUESTTIMEOUT": "10",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What came of reading a little of one file.

    Attributes
    ----------
    url : str
    message, why, fix : str
        What is wrong; empty where nothing is.
    latency_s : float
        Until the first bytes were there [s].
    read_bytes : int
    read_s : float
        How many bytes were then read, and how long it took [bytes, s].
    """

    url: str
    message: str = ""
    why: str = ""
    fix: str = ""
    latency_s: float = 0.0
    read_bytes: int = 0
    read_s: float = 0.0


def probe_storage(urls: Sequence[str], *, patience_s: float = 15.0) -> list[Sample]:
    """Read a little of each file, from this host and with its credentials.

    Parameters
    ----------
    urls : sequence of str
    patience_s : float
        After which no answer is one, too [s].
    """
    command = [sys.executable, "-m", "beampipe.datasets.storage_probe"]
    environment = _IMPATIENCE | dict(os.environ)
    try:
        done = subprocess.run(  # noqa: S603 (a program of ours)
            command, input=json.dumps(list(urls)), capture_output=True, text=True, check=False,
            timeout=patience_s, env=environment,
        )  # fmt: skip
        written, words = done.stdout, done.stderr.strip()[-300:]
    except subprocess.TimeoutExpired as error:
        written = (error.stdout or b"").decode() if isinstance(error.stdout, bytes) else ""
        words = f"no answer within {patience_s:g} s"
    found: dict[str, Sample] = {}
    for line in written.splitlines():
        with contextlib.suppress(ValueError, TypeError):
            sample = Sample(**json.loads(line))
            found[sample.url] = sample
    late = "see whether the storage is up, and whether this host may reach it"
    return [
        found.get(url) or Sample(url=url, message="It gives no answer.", why=words, fix=late)
        for url in urls
    ]


def read_sample(url: str) -> Sample:
    """Read a little of one file, in this process."""
    import fsspec

    try:
        begin = time.monotonic()
        system, path = fsspec.core.url_to_fs(url, **storage_options(url))
        beginning = system.cat_file(path, start=0, end=HEADER_BYTES)
        latency_s = time.monotonic() - begin
        if (bad := explain_beginning(url, beginning, size=None)) is not None:
            raise bad  # noqa: TRY301 (all that is wrong is told alike)
        begin = time.monotonic()
        read = len(system.cat_file(path, start=0, end=READ_BYTES))
        took_s = time.monotonic() - begin
    except DatasetError as error:
        explained: DatasetError = error
    except Exception as error:  # noqa: BLE001 (storage plugins raise what they like)
        explained = explain_file_error(url, error)
    else:
        return Sample(url=url, latency_s=latency_s, read_bytes=read, read_s=took_s)
    return Sample(url=url, message=explained.message, why=explained.why, fix=explained.fix)


def main() -> None:
    """Read URLs from standard input, and write a sample of each, as soon as it is known."""
    urls = json.load(sys.stdin)
    with ThreadPoolExecutor(len(urls) or 1) as pool:
        for future in as_completed([pool.submit(read_sample, url) for url in urls]):
            print(json.dumps(asdict(future.result())), flush=True)  # noqa: T201 (a program)
    sys.stdout.flush()
    os._exit(0)  # a client that hangs at exit has told all that it knows


if __name__ == "__main__":
    main()
