"""The report of a run: one HTML page that holds everything it shows."""

from __future__ import annotations

from beampipe.results.report.page import render_report, write_report

__all__ = ["render_report", "write_report"]
