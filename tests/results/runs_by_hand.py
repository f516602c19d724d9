"""Runs made by hand: outputs of many kinds, with names that want to break pages and files."""

from __future__ import annotations

from pathlib import Path

import awkward as ak
import hist
import numpy as np

from beampipe.execution.accounting import Accounting, DatasetAccounting, Failure
from beampipe.execution.record import RunRecord

HOSTILE = "Z → µµ 'x' \"q\" <script>alert(1)</script> & $\\frac{"


def make_mass(seed: int, *, scale: int = 1) -> hist.Hist:
    """A dimuon spectrum with its resonances over a falling continuum, on a log axis."""
    rng = np.random.default_rng(seed)
    transform = hist.axis.transform.log
    mass = hist.Hist(
        hist.axis.Regular(
            300, 0.25, 300, name="mass", label=r"$m_{\mu\mu}$ [GeV]", transform=transform
        )
    )
    mass.fill(0.25 + rng.exponential(9.0, 60_000 * scale))
    for centre, width, count in (
        (0.782, 0.01, 2500),
        (1.019, 0.012, 2000),
        (3.097, 0.04, 22_000),
        (3.686, 0.045, 2500),
        (9.46, 0.1, 5000),
        (10.02, 0.1, 2000),
        (91.19, 2.8, 16_000),
    ):
        mass.fill(rng.normal(centre, width, count * scale))
    return mass


def make_zoo(seed: int = 1) -> dict[str, hist.Hist]:
    """One histogram of every kind that a plot, a page or an export has to bear."""
    rng = np.random.default_rng(seed)
    met = hist.Hist.new.Reg(50, 0, 200, name="met", label="MET [GeV]").Weight()
    met.fill(rng.exponential(40, 5000), weight=rng.normal(1, 0.5, 5000))
    eta_phi = hist.Hist(
        hist.axis.Regular(48, -2.4, 2.4, name="eta", label=r"$\eta$"),
        hist.axis.Regular(64, -np.pi, np.pi, name="phi", label=r"$\phi$", circular=True),
    )
    eta_phi.fill(rng.normal(0, 1.2, 50_000), rng.uniform(-np.pi, np.pi, 50_000))
    by_channel = hist.Hist(
        hist.axis.StrCategory([], growth=True, name="channel"),
        hist.axis.StrCategory(["nominal", "jesUp", "jesDown"], name="syst"),
        hist.axis.Variable([20, 30, 40, 60, 100, 200], name="pt", label="leading jet $p_T$ [GeV]"),
        storage=hist.storage.Weight(),
    )
    for channel, n in (("ee", 3000), ("µµ <b>", 5000), ("e$\\mu", 1000)):
        for syst in ("nominal", "jesUp"):
            by_channel.fill(channel, syst, 20 + rng.exponential(30, n))
    three = hist.Hist.new.Reg(20, 0, 1, name="x").Reg(20, 0, 1, name="y").Reg(20, 0, 1, name="z")
    three = three.Double()
    three.fill(*rng.normal(0.5, 0.2, (3, 10_000)))
    profile = hist.Hist.new.Reg(25, 0, 50, name="pu", label="pile-up").Mean()
    profile.fill(pu := rng.uniform(0, 40, 2000), sample=3 * pu + rng.normal(0, 5, 2000))
    broken = hist.Hist.new.Reg(10, 0, 1, name="x").Double()
    broken.view()[:] = [1, 2, np.nan, 4, np.inf, 3, 2, 1, 0, 5]
    cuts = hist.Hist(hist.axis.StrCategory([], growth=True, name="cut", label="selection"))
    for name, n in (("all events", 1000), ("two muons, opposite charge", 400), ("trigger", 350)):
        cuts.fill([name] * n)
    n_jets = hist.Hist.new.Integer(0, 10, name="n", label="number of jets").Int64()
    n_jets.fill(rng.poisson(2.5, 5000))
    return {
        "met": met,
        "eta_phi": eta_phi,
        "by_channel": by_channel,
        "three": three,
        "profile": profile,
        "broken": broken,
        "cuts": cuts,
        "n_jets": n_jets,
        "empty": hist.Hist.new.Reg(10, 0, 1, name="x", label="x").Double(),
        "nothing": hist.Hist(hist.axis.StrCategory([], growth=True, name="none")),
        "weighted_mean": hist.Hist.new.Reg(3, 0, 3, name="w").WeightedMean(),
        HOSTILE: hist.Hist.new.Reg(5, 0, 5, name="bad", label=HOSTILE).Double().fill([1, 2, 2, 9]),
    }


def make_output(seed: int, *, scale: int = 1) -> dict[str, object]:
    """What one dataset gives back."""
    n = 40_000 * scale
    return {
        "mass": make_mass(seed, scale=scale),
        "cutflow": {"all": n, "trigger": n // 2, "two muons": n // 3, "Z window <i>": n // 20},
        "sumw": float(n) * 1.25,
        "columns": {"pt": np.linspace(0, 1, 10), "jets": ak.Array([[1.0, 2.0], [], [3.0]])},
        "nested": {"zoo": make_zoo(seed)},
        "runs": {273158, 273302},
    }


def add_outputs(left: dict[str, object], right: dict[str, object]) -> dict[str, object]:
    """Sum two outputs as coffea does."""
    from coffea.processor import accumulate

    return accumulate([left, right])


INCIDENTS = (
    {
        "time": "2026-11-20T21:45:20+01:00",
        "what": "retry",
        "text": f"ConnectionError on node1, {HOSTILE}",
        "count": 12,
        "kind": "transient",
        "host": "node1",
    },
    {
        "time": "2026-11-20T21:46:20+01:00",
        "what": "retry",
        "text": f"ConnectionError on node1, {HOSTILE}",
        "count": 2,
    },
    {
        "time": "2026-11-20T21:45:31+01:00",
        "what": "worker-died",
        "text": "tcp://10.0.0.3:4000 on node2: killed by signal 9 (SIGKILL)",
        "memory_bytes": 1_420_000_000,
    },
    {"what": "new-kind-of-thing", "text": "what a later version tells"},
)


def make_death(number: int, url: str) -> Failure:
    """A chunk that killed its workers."""
    return Failure(
        number,
        HOSTILE,
        url,
        "u-2",
        number,
        9,
        1500 * number,
        1500 * number + 250,
        "run-workers-lost",
        "WorkersLostError",
        "The worker that had this chunk was lost, also when nothing else ran.",
        worker="tcp://10.0.0.3:4000",
        host="node2",
        attempt=3,
        kind="worker",
        seen={
            "signal": 9,
            "memory_bytes": 1_420_000_000,
            "memory_limit_bytes": 1_500_000_000,
            "columns": ["event", "Jet_pt", "Jet_eta", "Muon_pt", "Muon_eta", "Muon_phi", "nMuon"],
            "workers_killed": 3,
        },
    )


def make_record(run_dir: Path, *, complete: bool = True) -> RunRecord:
    """A run of two datasets, whole or with holes of every kind."""
    left, right = make_output(1, scale=1), make_output(2, scale=2)
    hole = 0 if complete else 1
    # (processed, failed, not reached: 117,500 of 120,000)
    whole = DatasetAccounting("DY", 4, 0, 40_000, 40_000, 0, 0, 8, 8, 0, 3)
    events = (80_000, 80_000 - 2500 * hole, 1500 * hole, 1000 * hole)
    holed = DatasetAccounting(HOSTILE, 8, hole, *events, 16, 16 - 2 * hole, hole)
    accounting = Accounting((whole, holed))
    url = f"/data/with space/{HOSTILE.replace('/', '_')}.root"
    trace = 'Traceback (most recent call last):\n  File "p.py", line 3, in <lambda>\nValueError: x'
    failures = (
        Failure(
            1,
            HOSTILE,
            url,
            "u-1",
            0,
            2,
            0,
            1500,
            "processor-failed",
            "ValueError",
            "x < y & <script>alert(2)</script>",
            trace,
            "tcp://127.0.0.1:4000",
            "node1",
            2,
            kind="processor",
            rule="anything-else",
        ),
        Failure(
            2,
            HOSTILE,
            "/data/gone.root",
            "",
            0,
            0,
            0,
            0,
            "dataset-file-missing",
            "FileMissingError",
            "The file is not there.\n  why: no such file",
            kind="data",
        ),
        *(make_death(number, url) for number in (3, 4)),
    )
    stages = {
        "plan": 0.4,
        "start": 1.9,
        "open": 2.5,
        "read": 9.5,
        "process": 14.0,
        "add": 0.6,
        "merge": 0.5,
        "pull": 0.2,
        "commit": 0.3,
    }
    return RunRecord(
        run_dir=run_dir,
        run_id="0b5c9a7e",
        name="dimuon spectrum",
        created="2026-11-20T21:45:10+01:00",
        status="complete" if complete else "incomplete",
        output=add_outputs(left, right),
        by_dataset={"DY": left, HOSTILE: right},
        accounting=accounting,
        failures=() if complete else failures,
        metrics={
            "wall_s": 17.3,
            "events_per_s": 6936.0,
            "bytes_read": 123_456_789,
            "stages_s": stages,
            "n_workers": 2,
            "n_bundles": 12,
            **(
                {} if complete else {"reproducible": False, "reproducible_why": "a chunk was split"}
            ),
        },
        provenance={
            "versions": {"python": "3.11.7", "coffea": "2026.9.0", "beampipe": "0.1"},
            "processor": "dimuon.py:process",
            "source_sha256": "ab" * 32,
            "plan_sha256": "cd" * 32,
            "params": {"cut": "<20>"},
            "schema": "NanoAODSchema",
        },
        metadata={"DY": {"xsec": 6077.0}, HOSTILE: {"xsec": 88.0, "era": "2018"}},
        incidents=() if complete else INCIDENTS,
        accepted_changes=() if complete else ("numpy 2.2.1 is now 2.3.0 <b>",),
    )
