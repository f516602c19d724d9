"""The processor of all scenarios: exact counts, integer and weighted histograms, and a trace.

It writes a line for every chunk that it begins and ends, to a file outside the run, so that what
was really executed can be counted, whatever becomes of the results.
"""

import ctypes
import os
import signal
import time

import awkward as ak
import hist
import numpy as np

from beampipe.reading import column_cache

CELLS = 64  # values of x
HARMLESS = ("raise", "sleep")
BLOCK = 10  # events of one bin of the histogram that tells which events were counted


def process(events, *, trace, chunk_s=0.05, troubles=(), events_in_all=10_000):
    """Count; and fail where the scenario says so.

    Parameters
    ----------
    trace : str
        Where to write a line per chunk begun and ended.
    chunk_s : float
        How long a chunk takes at least [s].
    troubles : list of dict
        ``event`` (which one must be in the chunk), ``what`` (see `make_trouble`), ``marker`` (a
        path; with it the trouble comes once).
    """
    # These files are small, and what they hold is to be kept all the same; the code comes here
    # by value, so that nothing runs when a module is imported.
    column_cache._LEAST_LOCAL_BYTES = 0
    place = events.metadata
    note(trace, "begin", place)
    time.sleep(chunk_s)
    ids = ak.to_numpy(events.event)
    for trouble in troubles:
        if trouble["event"] in ids and is_due(trouble):
            if trouble["what"] not in HARMLESS:
                note(trace, "trouble", place)  # its worker dies, and what it holds with it
            make_trouble(trouble, len(ids))
    x, weight = ak.to_numpy(events.x), ak.to_numpy(events.weight)
    output = {
        "events": len(ids),
        "sum_of_ids": int(ids.sum()),
        "x": hist.Hist.new.Integer(0, CELLS, name="x").Int64().fill(x),
        "weighted": hist.Hist.new.Integer(0, CELLS, name="x").Weight().fill(x, weight=weight),
        "which": hist.Hist.new.Integer(0, -(-events_in_all // BLOCK), name="block")
        .Int64()
        .fill(ids // BLOCK),
    }
    note(trace, "end", place)
    return output


def note(trace, what, place):
    """Write one line, whole also when many processes write at a time."""
    words = (what, time.time(), os.getpid(), place["fileuuid"])
    line = " ".join(map(str, (*words, place["entrystart"], place["entrystop"], task_key())))
    handle = os.open(trace, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(handle, line.encode() + b"\n")
    os.close(handle)


def task_key():
    """The Dask task that this is, or a dash."""
    try:
        from distributed import get_worker

        return get_worker().get_current_task()
    except (ImportError, ValueError, AttributeError):
        return "-"


def is_due(trouble):
    """Whether the trouble is to come (again)."""
    marker = trouble.get("marker")
    if marker is None:
        return True
    try:
        os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def make_trouble(trouble, n_events):
    """Do what chunks were seen to do."""
    what = trouble["what"]
    if what == "raise":
        raise ValueError("this chunk cannot be done")
    if what == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
        time.sleep(5)
    if what == "exit":
        os._exit(3)
    if what == "memory":  # in proportion to the events, as real ones
        hoard = []
        for _ in range(n_events):
            hoard.append(np.ones(trouble["bytes_per_event"], dtype=np.int8))
            time.sleep(0.01)
        time.sleep(1)
        del hoard
    if what == "sleep":
        time.sleep(trouble["seconds"])
    if what == "null":  # a real one
        ctypes.string_at(0)
