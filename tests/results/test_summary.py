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
    many = tuple(
        replace(failure, message=f"another {n}")
        for n in range(4)
        for failure in holed_record.failures
    )
    text = format_summary(replace(holed_record, failures=holed_record.failures * 10 + many))
    assert "and 9 like it: 10 chunks with 15,000 events, of Z" in text
    assert "more of other kinds" in text
    assert "--failures shows each of them with its traceback" in text


def test_what_was_seen_and_what_happened_on_the_way_are_said(holed_record):
    text = format_summary(holed_record)
    assert "about 15.2 %" in text
    assert "kind: a worker's death, tried 3 times" in text
    assert "kind: the processor (rule anything-else), tried 2 times" in text
    assert (
        "seen: killed by signal 9 (SIGKILL); memory 1.42 GB of 1.5 GB; last columns read:" in text
    )
    assert "on the way: 1 worker died, 14 retries, 1 new kind of thing" in text
    assert "(14 ×)" in text
    assert "Not reproducible to the bit, although that was asked for: a chunk was split" in text
    assert "Gone on with although this had changed: numpy 2.2.1 is now 2.3.0 <b>" in text
    many = tuple({"what": "retry", "text": str(n)} for n in range(9))
    record = replace(holed_record, incidents=many)
    assert "and 4 more; --failures shows all" in format_summary(record)
    assert "retry: 8" in format_summary(record, all_failures=True)


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


def test_the_workers_time_is_told_in_one_line(whole_record):
    (line,) = [line for line in format_summary(whole_record).splitlines() if "workers:" in line]
    assert "52 % in the processor, 35 % reading columns" in line
    slow = replace(whole_record, metrics={**whole_record.metrics, "stages_s": {"fetch": 30.0}})
    assert "100 % waiting for storage: more workers won't help" in format_summary(slow)
