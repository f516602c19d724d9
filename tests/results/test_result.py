from __future__ import annotations

import subprocess
import sys

import pytest

from beampipe.results.result import RunResult


def test_a_result_tells_what_the_record_holds(whole_record):
    result = RunResult(whole_record)
    assert result.output is whole_record.output
    assert result.by_dataset["DY"]["sumw"] == 50_000
    assert result.accounting["DY"].events_processed == 40_000
    assert result.failures == ()
    assert result.metrics["n_workers"] == 2
    assert result.provenance["schema"] == "NanoAODSchema"
    assert (result.name, result.status, result.run_id) == (
        "dimuon spectrum",
        "complete",
        "0b5c9a7e",
    )
    assert result.created.startswith("2026-11-20")
    assert result.run_dir == whole_record.run_dir
    assert result.is_complete


def test_a_hole_is_on_its_face(holed_record):
    result = RunResult(holed_record)
    assert not result.is_complete
    assert repr(result) == ("<RunResult 'dimuon spectrum': INCOMPLETE, 117,500 of 120,000 events>")
    assert "INCOMPLETE" in str(result)
    assert "INCOMPLETE" in result._repr_html_()


def test_plots_and_report_go_to_the_run_directory(whole_record):
    result = RunResult(whole_record)
    (path,) = result.plot(only="mass")
    assert path == result.run_dir / "plots" / "mass.png"
    assert result.report() == result.run_dir / "report.html"


def test_exports_warn_of_what_is_left_out(whole_record, tmp_path):
    with pytest.warns(UserWarning, match="not exported: .*runs"):
        path = RunResult(whole_record).export(tmp_path / "a.root")
    assert path.is_file()


def test_importing_the_room_is_light():
    program = (
        "import sys, beampipe.results, beampipe.results.result, beampipe.results.plots\n"
        "import beampipe.results.report, beampipe.results.exports\n"
        "heavy = {'matplotlib', 'mplhep', 'hist', 'awkward', 'uproot', 'coffea', 'jinja2'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
