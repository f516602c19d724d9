from __future__ import annotations

from pathlib import Path

import pytest

from beampipe.batch.model import Command, JobDescription, render_command
from beampipe.errors import BatchJobError

FOLDER = Path("/home/µ user/logs")


def describe(**changes):
    given = {"name": "n", "tag": "bp-a", "command": ("true",), "log_folder": FOLDER} | changes
    return JobDescription(**given)


@pytest.mark.parametrize(
    "changes",
    [
        {"tag": ""},
        {"tag": "1a"},
        {"tag": "a b"},
        {"tag": "a" * 65},
        {"tag": "a\n"},
        {"command": ()},
        {"cores": 0},
        {"memory_bytes": 0},
        {"walltime_s": 0},
        {"signal_ahead_s": -1},
        {"count": 0},
        {"name": "two\nlines"},
        {"queue": "q\r"},
        {"account": "a\nb"},
        {"directives": ("--x\n#SBATCH --y",)},
        {"files": (Path("a\nb"),)},
        {"log_folder": Path("a\nb")},
        {"environment": {"A B": "1"}},
        {"environment": {"A": "1\0"}},
        {"command": ("a\0",)},
        {"prologue": ("a\0",)},
    ],
    ids=repr,
)
def test_what_no_system_can_be_told_is_refused(changes):
    with pytest.raises(BatchJobError):
        describe(**changes)


def test_what_a_shell_can_quote_is_taken():
    job = describe(environment={"A": "two\nlines"}, command=("sh", "-c", "a\nb"), tag="a" * 64)
    assert job.environment["A"] == "two\nlines"


def test_a_command_is_shown_as_one_would_type_it():
    shown = render_command(Command(("condor_submit", "-"), stdin="queue 2\n"))
    assert shown == "condor_submit - <<'END'\nqueue 2\nEND"


def test_a_node_to_avoid_is_a_name(tmp_path):
    with pytest.raises(BatchJobError, match="names no node"):
        JobDescription(
            name="x", tag="x", command=("x",), log_folder=tmp_path, avoid=("n1", "n2; rm")
        )
