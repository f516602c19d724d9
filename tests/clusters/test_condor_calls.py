"""The program that calls HTCondor's bindings, beside a played `htcondor2` of the same shape.

Against a real queue: tests/farms/test_dialects.py.
"""

from __future__ import annotations

import json
import sys
import types
from enum import IntEnum

import pytest

from beampipe.batch.htcondor_bindings import HTCondorBindings
from beampipe.clusters import condor_calls


class Ad(dict):
    def printJson(self):  # noqa: N802 (its own name)
        return json.dumps(self)


class JobAction(IntEnum):
    Release = 2
    Remove = 3


class HTCondorException(Exception):  # noqa: N818 (its own name)
    pass


class Result:
    def cluster(self):
        return 12

    def first_proc(self):
        return 0

    def num_procs(self):
        return 3


class Played(types.ModuleType):
    """What is asked is written down; what is answered can be set."""

    def __init__(self):
        super().__init__("htcondor2")
        self.asked, self.ads, self.totals, self.error = [], [], Ad(TotalSuccess=1), None
        self.HTCondorException, self.JobAction = HTCondorException, JobAction
        self.AdType = types.SimpleNamespace(Startd=7)
        self.DaemonType = types.SimpleNamespace(Schedd=1)
        played = self

        class Schedd:
            def __init__(self, location=None):
                played.asked.append(("schedd", location))

            def _note(self, *what):
                if played.error:
                    raise played.error
                played.asked.append(what)

            def query(self, constraint, projection, *, limit=-1):
                self._note("query", constraint, projection, limit)
                return played.ads

            def history(self, constraint, projection, *, match=-1):
                self._note("history", constraint, projection, match)
                return played.ads

            def act(self, action, jobs):
                self._note("act", action, jobs)
                return played.totals

            def submit(self, description):
                self._note("submit", description)
                return Result()

        class Collector:
            def __init__(self, pool=None):
                played.asked.append(("collector", pool))

            def locate(self, _, name):
                return None if name == "nobody" else Ad(Name=name)

        self.Schedd, self.Collector = Schedd, Collector
        self.Submit = str
        self.version = lambda: "$CondorVersion: 25.14.1 2026-10-02 BuildID: 1 $"


@pytest.fixture
def played(monkeypatch):
    module = Played()
    monkeypatch.setitem(sys.modules, "htcondor2", module)
    return module


def words(command):
    return [*command.argv[4:]]


BINDINGS = HTCondorBindings()


def test_what_the_dialect_asks_is_what_the_bindings_are_asked(played, capsys):
    played.ads = [Ad(ClusterId=1, ProcId=0, JobStatus=2, BeampipeTag="t"), Ad(ClusterId=1)]
    assert condor_calls.main(words(BINDINGS.status(user="me", tag="t"))) == 0
    assert json.loads(capsys.readouterr().out) == played.ads
    _, constraint, projection, limit = played.asked[-1]
    assert (constraint, limit) == ('BeampipeTag =?= "t" && Owner == "me"', -1)
    assert {"JobStatus", "HoldReason"} < set(projection)


def test_an_empty_queue_is_an_empty_list(played, capsys):
    assert condor_calls.main(words(BINDINGS.status(user="me"))) == 0
    assert BINDINGS.read_status(capsys.readouterr().out, 0) == {}


def test_the_history_is_asked_no_further_back_than_needed(played, capsys):
    (command,) = BINDINGS.autopsy(("1.0", "22.3"))
    assert condor_calls.main(words(command)) == 0
    _, constraint, _, match = played.asked[-1]
    assert constraint == "(ClusterId == 1 && ProcId == 0) || (ClusterId == 22 && ProcId == 3)"
    assert match == 2


def test_a_submission_is_told_as_the_command_tells_it(played, capsys, monkeypatch):
    text = 'universe = vanilla\nbatch_name = "µ"\nqueue 3\n'
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(read=lambda: text))
    assert condor_calls.main(["submit"]) == 0
    assert played.asked[-1] == ("submit", text)
    assert BINDINGS.read_submitted(capsys.readouterr().out, 3) == ("12.0", "12.1", "12.2")


@pytest.mark.parametrize(("verb", "action"), [("remove", 3), ("release", 2)])
def test_jobs_are_acted_on(played, capsys, verb, action):
    assert condor_calls.main([verb, "1.0", "1.1"]) == 0
    assert played.asked[-1] == ("act", action, ["1.0", "1.1"])
    assert capsys.readouterr().out == "1 jobs\n"
    played.totals = None
    assert condor_calls.main([verb, "1.0"]) == 0
    played.totals = Ad(TotalPermissionDenied=2)
    assert condor_calls.main([verb, "1.0"]) == 1
    assert "somebody else's" in capsys.readouterr().err


def test_nodes_are_those_of_the_pool(played, capsys):
    def query(_, kind, *, projection):
        played.asked.append(("nodes", kind, projection))
        return [Ad(Machine="n1"), Ad(Machine="n2"), Ad(Machine="n2")]

    played.Collector.query = query
    assert condor_calls.main(words(BINDINGS.nodes())) == 0
    assert BINDINGS.read_nodes(capsys.readouterr().out) == {"n1", "n2"}
    assert played.asked == [("collector", None), ("nodes", 7, ["Machine"])]


def test_a_named_queue_is_looked_up_in_its_pool(played, capsys):
    assert condor_calls.main(["-name", "s3", "-pool", "cm", "check"]) == 0
    assert ("collector", "cm") in played.asked
    assert ("schedd", {"Name": "s3"}) in played.asked
    assert json.loads(capsys.readouterr().out) == {"version": "25.14.1"}
    assert condor_calls.main(["-name", "nobody", "check"]) == 1
    assert "nobody" in capsys.readouterr().err


@pytest.mark.parametrize("error", [HTCondorException("µ is down"), ValueError("µ is no word")])
def test_what_htcondor_says_against_it_is_told_without_a_traceback(played, capsys, error):
    played.error = error
    assert condor_calls.main(["query", "-constraint", "x", "-attributes", "A"]) == 1
    assert capsys.readouterr().err == f"{error}\n"


def test_bindings_that_cannot_be_loaded_are_named(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "htcondor2", None)
    assert condor_calls.main(["check"]) == 1
    assert "htcondor2" in capsys.readouterr().err


def test_what_is_no_job_is_refused(played, capsys):
    assert condor_calls.main(["history", "-attributes", "A", "1.0 || true"]) == 1
    assert "no job" in capsys.readouterr().err
