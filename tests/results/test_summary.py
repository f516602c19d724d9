from __future__ import annotations

import io
from dataclasses import replace

from rich.console import Console
from tests.results.runs_by_hand import HOSTILE

from beampipe.execution.accounting import Failure
from beampipe.results.result import RunResult
from beampipe.results.summary import (
    describe_place,
    describe_run,
    format_summary,
    make_console,
    print_summary,
)


def test_the_summary_says_it_all(holed_record):
    text = format_summary(holed_record)
    assert "dimuon spectrum  INCOMPLETE" in text
    assert "117,500 of 120,000 events processed" in text
    assert "8 (1 bad)" in text
    assert f"nested/zoo/{HOSTILE}" in text
    assert "ValueError: x < y & <script>alert(2)</script>" in text
    assert "\x1b" not in text


def test_names_are_no_markup(holed_record):
    record = replace(holed_record, name="[red]a[/red] [link=x]", failures=())
    assert "[red]a[/red] [link=x]" in format_summary(record)


def test_all_failures_come_with_their_tracebacks(holed_record):
    text = format_summary(holed_record, all_failures=True)
    assert "failure 1 [processor-failed]" in text
    assert 'File "p.py", line 3' in text
    assert "attempt 2" in text
    assert "failure 2 [dataset-file-missing]" in text


def test_many_failures_are_counted(holed_record):
    record = replace(holed_record, failures=holed_record.failures * 10)
    assert "and 15 more; --failures shows all" in format_summary(record)


def test_a_whole_run_has_no_failures_and_a_result_prints_too(whole_record):
    text = format_summary(RunResult(whole_record), all_failures=True)
    assert "COMPLETE" in text
    assert "INCOMPLETE" not in text
    assert "no failures" in text


def test_nothing_is_said_of_what_was_not_measured(whole_record):
    record = replace(whole_record, metrics={}, output=None)
    assert describe_run(record) == "2026-11-20 21:45:10 UTC+01:00"
    assert "no output" in format_summary(record)


def test_a_terminal_gets_colours(holed_record):
    stream = io.StringIO()
    print_summary(holed_record, Console(file=stream, force_terminal=True, width=100))
    assert "\x1b[" in stream.getvalue()


def test_a_pipe_is_wide_enough(capsys, holed_record):
    print_summary(holed_record, make_console())
    assert "dimuon spectrum  INCOMPLETE" in capsys.readouterr().out


def test_a_file_that_was_not_counted_has_no_range():
    failure = Failure(1, "DY", "a b.root", "", 0, 0, 0, 0, "c", "E", "m")
    assert describe_place(failure) == "DY: a b.root"
