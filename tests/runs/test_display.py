import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from dataclasses import replace

import pytest

from beampipe.execution.progress import Progress
from beampipe.execution.sketches import Sketch
from beampipe.runs import display
from beampipe.runs.display import describe, is_notebook, progress_html, show_progress, spell_time

HALFWAY = Progress(
    stage="running",
    events_done=1_234_567,
    events_planned=2_500_000,
    events_committed=1_000_000,
    chunks_done=123,
    chunks_planned=250,
    chunks_failed=2,
    elapsed_s=60.0,
    events_per_s=20_576.0,
    eta_s=3723.0,
    workers=2,
    dashboard="http://127.0.0.1:8787/status",
)
START = replace(
    HALFWAY, events_done=0, chunks_done=0, chunks_failed=0, events_per_s=0, eta_s=None, workers=0
)
SKETCHED = replace(HALFWAY, sketch=Sketch("mass", (0.0, 1.0, 8.0)))
DONE = replace(HALFWAY, stage="done", events_done=2_500_000, chunks_done=250, eta_s=0.0)


def test_a_line_says_where_a_run_stands():
    assert describe(HALFWAY) == (
        " 49%  1.2 M/2.5 M events, 123/250 chunks, 20.6 k events/s, 1 h 2 min left, 2 failed, "
        "2 workers"
    )


def test_retries_and_deaths_are_said_and_left_out_last_and_first():
    troubled = replace(HALFWAY, retries=1, workers_died=3)
    assert describe(troubled).endswith("2 failed, 1 retry, 3 workers died, 2 workers")
    narrow = describe(replace(troubled, retries=1200, workers_died=1), width=70)
    assert "retries" not in narrow
    assert "2 failed" in narrow
    assert "1,200 retries" in progress_html(replace(troubled, retries=1200))


def test_waiting_for_workers_is_said_and_no_time_is_invented():
    assert describe(START) == "  0%  0/2.5 M events, 0/250 chunks, 0 events/s, no worker yet"
    assert describe(replace(START, workers=1)).endswith("1 worker")
    assert describe(replace(HALFWAY, workers=0)).endswith("no worker left")


def test_a_hundred_percent_is_everything():
    assert describe(replace(DONE, events_done=2_499_999)).startswith(" 99%")
    assert describe(DONE).startswith("100%")
    assert describe(replace(DONE, events_done=0, events_planned=0)).startswith("100%")


@pytest.mark.parametrize("stage", ["committing", "stopping"])
def test_what_it_does_besides_is_said(stage):
    assert describe(replace(HALFWAY, stage=stage)).endswith(f"2 failed, {stage}")


@pytest.mark.parametrize("width", [10, 30, 46, 60, 80, 200])
def test_what_matters_least_is_left_out_first(width):
    line = describe(HALFWAY, width=width)
    assert len(line) <= width
    assert line.startswith(" 49%")
    assert ("1 h 2 min left" in line) == (width >= 30)
    assert ("chunks" in line) == (width >= 100)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59.6, "1 min 0 s"),
        (200, "3 min 20 s"),
        (3723, "1 h 2 min"),
        (250_000, "2 d 21 h"),
    ],
)
def test_times(seconds, text):
    assert spell_time(seconds) == text


class Clock:
    """A clock that tests move."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(display, "time", clock)
    return clock


def show(reports, clock, *, every_s=0.2):
    stream = io.StringIO()
    with show_progress(stream=stream) as notify:
        for report in reports:
            notify(report)
            clock.now += every_s
    return stream.getvalue().splitlines()


def test_lines_first_last_and_one_in_ten_seconds(clock):
    steps = [replace(HALFWAY, chunks_done=number) for number in range(125)]  # 25 s
    lines = show([START, *steps, DONE], clock)
    assert lines[0] == "dashboard: http://127.0.0.1:8787/status"
    assert lines[1] == describe(START)
    assert lines[-1] == describe(DONE)
    assert lines[2] == describe(steps[0])  # the first that is done is told at once
    assert len(lines) == 6


def test_nothing_new_is_not_repeated(clock):
    lines = show([START] * 500, clock)
    assert lines == ["dashboard: http://127.0.0.1:8787/status", describe(START)]


def test_a_short_run_has_two_lines_and_one_of_no_time_only_one(clock):
    assert len(show([replace(START, dashboard=""), DONE], clock)) == 3
    assert show([replace(DONE, dashboard="")] * 3, clock) == [describe(DONE)]


def test_stopping_is_said_at_once(clock):
    stopping = replace(HALFWAY, stage="stopping")
    assert show([HALFWAY, stopping], clock)[-1].endswith("stopping")


def test_quiet_is_quiet(capsys):
    with show_progress(enabled=False) as notify:
        notify(HALFWAY)
    assert capsys.readouterr() == ("", "")


def test_by_default_it_goes_to_standard_error(capsys):
    with show_progress() as notify:
        notify(DONE)
    out, err = capsys.readouterr()
    assert out == ""
    assert "100%" in err


SCRIPT = """
import sys, time
from dataclasses import replace
sys.path[:0] = {path!r}
from tests.runs.test_display import START, HALFWAY, DONE, SKETCHED
from beampipe.runs.display import show_progress
with show_progress() as notify:
    time.sleep(0.25)
    for report in ({reports}):
        notify(report)
        print("from the user's own code")
        time.sleep(0.25)
"""


def show_in_terminal(columns, term="xterm-256color", *, reports="START, HALFWAY, DONE"):
    """What a terminal of so many columns gets, with standard output in a pipe."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {
        name: text for name, text in os.environ.items() if name not in {"COLUMNS", "LINES"}
    }
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(path=sys.path, reports=reports)],
        env={**environment, "TERM": term},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=slave,
        text=True,
    )
    os.close(slave)
    shown = b""
    try:
        while part := os.read(master, 65536):
            shown += part
    except OSError:  # so a terminal says that nobody writes any more
        pass
    out = process.communicate(timeout=120)[0]
    os.close(master)
    assert process.returncode == 0, shown.decode()
    return shown.decode(), out


ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.mark.parametrize("columns", [60, 200])
def test_a_bar_in_a_terminal_is_one_line_that_fits(columns):
    shown, out = show_in_terminal(columns)
    assert out == "from the user's own code\n" * 3
    assert "from the user" not in shown
    assert "\x1b[1A" not in shown, "it took more than one line"
    lines = [line for line in re.split(r"[\r\n]+", ESCAPE.sub("", shown)) if line]
    assert max(map(len, lines)) <= columns
    assert "starting workers" in lines[0]
    assert sum("dashboard" in line for line in lines) == 1
    assert any("no worker yet" in line for line in lines)
    assert any("1 h 2 min left, 2 failed" in line for line in lines)
    assert "100%" in lines[-1]
    assert ("chunks" in lines[-1]) == (columns == 200)


def test_the_first_histogram_is_below_the_bar():
    shown, _ = show_in_terminal(60, reports="START, SKETCHED, replace(SKETCHED, stage='done')")
    lines = [line for line in re.split(r"[\r\n]+", ESCAPE.sub("", shown)) if line]
    assert max(map(len, lines)) <= 60
    assert lines[-1].strip() == "mass  ▁█"
    assert "%" in lines[-2]


def test_a_terminal_that_cannot_move_its_cursor_gets_lines():
    shown, _ = show_in_terminal(80, term="dumb")
    assert ESCAPE.search(shown) is None
    assert shown.splitlines()[-1] == describe(DONE)


class ZMQInteractiveShell:
    """Named like Jupyter's."""


def pretend(monkeypatch, shell):
    class IPython:
        get_ipython = staticmethod(lambda: shell)

    monkeypatch.setitem(sys.modules, "IPython", IPython)


def test_a_notebook_is_known_by_its_shell(monkeypatch):
    assert not is_notebook()
    pretend(monkeypatch, None)
    assert not is_notebook()
    pretend(monkeypatch, ZMQInteractiveShell())
    assert is_notebook()
    pretend(monkeypatch, type("Colab", (ZMQInteractiveShell,), {})())
    assert is_notebook()


def test_the_html_has_a_bar_a_link_and_no_holes():
    html = progress_html(replace(HALFWAY, dashboard='http://host/"><script>'))
    assert 'value="0.4938"' in html
    assert "<script>" not in html
    assert "&quot;&gt;&lt;script&gt;" in html
    assert "href" not in progress_html(replace(HALFWAY, dashboard=""))


def test_counting_files_is_shown_only_when_it_takes_long(monkeypatch):
    stream = io.StringIO()
    now = [100.0]
    monkeypatch.setattr(display.time, "monotonic", lambda: now[0])
    with display.show_counting(stream=stream) as on_progress:
        on_progress(1, 40_000)
        assert stream.getvalue() == ""
        now[0] += 11
        on_progress(1200, 40_000)
        on_progress(1201, 40_000)
    assert stream.getvalue() == "counted 1,200 of 40,000 files\n"
    with display.show_counting(enabled=False, stream=stream) as on_progress:
        now[0] += 100
        on_progress(1, 2)
    assert stream.getvalue().count("\n") == 1


class Told(io.StringIO):
    """A stream with an encoding of its own."""

    def __init__(self, encoding):
        super().__init__()
        self._encoding = encoding

    @property
    def encoding(self):
        return self._encoding


def test_the_first_histogram_is_shown_as_it_grows():
    assert describe(SKETCHED).endswith("2 workers, mass  ▁█")
    assert "mass" not in describe(SKETCHED, width=70)
    assert "mass  ▁█" in progress_html(SKETCHED)


@pytest.mark.parametrize(("encoding", "is_drawn"), [("utf-8", True), ("latin-1", False)])
def test_blocks_are_drawn_where_they_can_be_written(encoding, is_drawn):
    stream = Told(encoding)
    with show_progress(stream=stream) as notify:
        notify(SKETCHED)
    assert ("▁█" in stream.getvalue()) == is_drawn
    assert "1.2 M/2.5 M events" in stream.getvalue()


def test_the_first_partial_is_told_at_once():
    stream = io.StringIO()
    first = replace(SKETCHED, events_done=5)
    with show_progress(stream=stream) as notify:
        notify(START)
        notify(first)
        notify(replace(first, events_done=6))
    assert "  0/2.5 M events" in stream.getvalue()
    assert stream.getvalue().count("  5/2.5 M events") == 1
    assert "  6/2.5 M events" not in stream.getvalue()
