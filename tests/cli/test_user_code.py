from __future__ import annotations

import re

import click
import pytest

from beampipe.cli.user_code import show_user_errors, user_traceback
from beampipe.errors import (
    ColumnNotFoundError,
    NoFilesError,
    ProcessorFailedError,
    ProcessorOutputError,
)
from beampipe.execution.processors import Processor


def divide(events):
    return 1 / events


def call_through_beampipe():
    """As `try` does: the processor is called by code of Beampipe's."""
    Processor(divide, "divide").process(0)


def explain_what_is_raised():
    try:
        call_through_beampipe()
    except ZeroDivisionError as error:
        raise ColumnNotFoundError("There is no column 'x'.") from error


def test_the_users_lines_are_shown_and_none_of_ours(capsys):
    raised = pytest.raises(ProcessorFailedError, match="raised ZeroDivisionError")
    with raised as caught, show_user_errors():
        call_through_beampipe()
    assert caught.value.why == "division by zero"
    shown = capsys.readouterr().err
    assert "return 1 / events" in shown
    assert "src/beampipe" not in shown
    assert shown.rstrip().endswith("ZeroDivisionError: division by zero")


@pytest.mark.parametrize(
    "error", [NoFilesError("x"), ProcessorOutputError("x"), click.UsageError("x")]
)
def test_errors_that_say_what_is_meant_go_on(error, capsys):
    with pytest.raises(type(error)), show_user_errors():
        raise error
    assert capsys.readouterr().err == ""


def test_a_missing_column_keeps_its_word_and_shows_the_line(capsys):
    with pytest.raises(ColumnNotFoundError), show_user_errors():
        explain_what_is_raised()
    assert "return 1 / events" in capsys.readouterr().err


def test_the_debugger_stops_in_the_users_code(monkeypatch):
    stopped = []
    monkeypatch.setattr("pdb.post_mortem", stopped.append)
    with pytest.raises(ProcessorFailedError), show_user_errors(debug=True):
        call_through_beampipe()
    (tail,) = stopped
    assert tail.tb_frame.f_code.co_name == "divide"


def test_nothing_raised_is_nothing_shown(capsys):
    with show_user_errors():
        pass
    assert not re.search(r"\S", capsys.readouterr().err)
    assert user_traceback(None) is None
