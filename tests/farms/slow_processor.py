"""A processor that takes its time, leaves a trace of every chunk, and has results to be merged."""

from __future__ import annotations

import time
import uuid
from pathlib import Path

import awkward as ak
import hist
import numpy as np

BIG = 250_000


def process(events, *, traces: str, pause_s: float):
    time.sleep(pause_s)
    pt = hist.Hist(hist.axis.Regular(100, 0, 100, name="pt"), storage=hist.storage.Int64())
    pt.fill(ak.flatten(events.Muon.pt))
    # 2 MB, which is merged on the workers.
    big = np.bincount(np.asarray(events.event) % BIG, minlength=BIG)
    Path(traces, uuid.uuid4().hex).touch()
    return {"pt": pt, "big": big, "events": len(events)}
