from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from beampipe.batch.htcondor import HTCondor
from beampipe.batch.htcondor_bindings import HTCondorBindings
from beampipe.batch.model import preview
from beampipe.errors import BatchJobError

BINDINGS = HTCondorBindings(python="/env/bin/python", version="25.14.1")
CALL = ("/env/bin/python", "-P", "-m", "beampipe.clusters.condor_calls")


def test_the_bindings_are_given_what_the_command_would_be(full_job):
    script = Path("/s/jo$(b).sh")
    theirs, ours = HTCondor().submit(full_job, script), BINDINGS.submit(full_job, script)
    assert (ours.argv, ours.stdin) == ((*CALL, "submit"), theirs.stdin)
    assert BINDINGS.submit_text(full_job) == HTCondor().submit_text(full_job)
    assert "-m beampipe.clusters.condor_calls submit <<'END'" in preview(BINDINGS, full_job, script)


def test_one_call_asks_for_all_jobs_of_a_cluster_and_for_few_attributes():
    argv = BINDINGS.status(user="me", tag="bp-x").argv
    assert argv[:5] == (*CALL, "query")
    assert argv[6] == 'BeampipeTag =?= "bp-x" && Owner == "me"'
    assert argv[5:7] == HTCondor().status(user="me", tag="bp-x").argv[1:3]
    assert argv[7:] == HTCondor().status(user="me", tag="bp-x").argv[4:]
    assert "BeampipeTag =!= undefined" in BINDINGS.status(user="me").argv[6]


def test_jobs_are_named_to_be_removed_released_and_remembered():
    jobs = ("1.0", "1.1")
    assert [c.argv[4:] for c in BINDINGS.cancel(jobs)] == [("remove", *jobs)]
    assert [c.argv[4:] for c in BINDINGS.release(jobs)] == [("release", *jobs)]
    (asked,) = BINDINGS.autopsy(jobs)
    assert (asked.argv[4], asked.argv[-2:]) == ("history", jobs)
    assert "LastHoldReasonCode" in asked.argv[6].split(",")
    assert BINDINGS.autopsy(()) == ()


def test_a_chosen_queue_is_asked_in_every_call(full_job):
    there = replace(BINDINGS, schedd=("-name", "lpcschedd3"))
    commands = [
        there.submit(full_job, Path("/s")), there.status(user="me"), *there.autopsy(("1.0",)),
        *there.cancel(("1.0",)), *there.release(("1.0",)),
    ]  # fmt: skip
    assert all(command.argv[4:6] == ("-name", "lpcschedd3") for command in commands)
    assert len(commands) == 5
    assert all("bindings" in command.title for command in commands)


def test_an_option_of_the_command_is_refused(full_job):
    with pytest.raises(BatchJobError, match="-spool"):
        BINDINGS.submit(replace(full_job, directives=("-spool",)), Path("/s"))


def test_no_command_is_needed():
    assert BINDINGS.commands == ()
    assert BINDINGS.name == "htcondor"


def test_recorded_facts_are_read_alike(recorded, fates):
    text = recorded("htcondor/autopsy.txt")
    assert BINDINGS.read_autopsy(text) == HTCondor().read_autopsy(text)
    assert BINDINGS.read_status("[\n\n]\n", 0) == {}
