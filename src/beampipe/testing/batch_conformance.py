"""What every dialect of a batch system must do, as tests to subclass; needs pytest.

A subclass names its farm, a real one or fake commands on PATH::

    class TestSlurm(BatchConformance):
        @pytest.fixture
        def farm(self, running_slurm):
            return BatchFarm(SLURM, running_slurm.run, folder=..., user="me", ...)
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import pytest

from beampipe.batch.model import (
    Answer,
    Command,
    Dialect,
    JobDescription,
    JobEnd,
    JobState,
    JobStatus,
    KnowsNodes,
)
from beampipe.errors import BatchOutputError, BatchRefusedError

PATIENCE_S: Final = 60.0
_HOSTILE: Final = "µ 'quoted' \"twice\" $HOME `id` %j $(Process) \\ \nsecond line"
Submit = Callable[[JobDescription], tuple[str, ...]]
_LIVES: Final = {JobState.PENDING, JobState.HELD, JobState.RUNNING, JobState.ENDING}


@dataclass(frozen=True)
class BatchFarm:
    """A batch system that runs, or one that seems to.

    Attributes
    ----------
    dialect : Dialect
        Its language.
    run : callable
        Runs a command as `user`.
    folder : Path
        Empty, the user may write to it, and jobs see it.
    user : str
        Who submits.
    held : dict
        Changes to a job description that have the job submitted on hold; empty if there is no way.
    refused : dict
        Changes that the system does not take.
    shortest_walltime_s : int
        The shortest limit that it keeps to; 0 if that takes too long to test.
    tells_ends : bool
        Whether a job's end can be asked for after it has left the queue.
    tells_reasons : bool
        Whether the queue says why a job waits.
    tells_cancels : bool
        Whether a cancelled job is told from one that a signal ended.
    first_signal : str
        By which a cancelled job is asked to go, before it is killed; empty if it is not.
    """

    dialect: Dialect
    run: Callable[[Command], Answer]
    folder: Path
    user: str
    held: dict[str, Any] = field(default_factory=dict)
    refused: dict[str, Any] = field(default_factory=dict)
    shortest_walltime_s: int = 0
    tells_ends: bool = True
    tells_reasons: bool = True
    tells_cancels: bool = True
    first_signal: str = "TERM"

    def describe(self, *command: str, **changes: Any) -> JobDescription:
        """A small job with a tag of its own, whose output goes where blanks are."""
        logs = self.folder / "lo gs µ"
        if not logs.exists():
            logs.mkdir()
            owner = self.folder.stat()
            os.chown(logs, owner.st_uid, owner.st_gid)
        tag = f"bp-test-{uuid.uuid4().hex[:8]}"
        job = JobDescription(
            name="a test", tag=tag, command=command, log_folder=logs, memory_bytes=100 * 2**20
        )
        return replace(job, **changes)

    def submit(self, job: JobDescription) -> tuple[str, ...]:
        """Submit it as a program of the user's would."""
        script = self.folder / f"{job.tag} script.sh"
        script.write_text(self.dialect.submit_text(job), encoding="utf-8")
        script.chmod(0o755)
        answer = self.run(self.dialect.submit(job, script))
        return self.dialect.read_submitted(
            answer.stdout, job.count, stderr=answer.stderr, exit_code=answer.exit_code
        )

    def status(self, tag: str = "") -> dict[str, JobStatus]:
        """Ask the queue once."""
        answer = self.run(self.dialect.status(user=self.user, tag=tag))
        assert answer.exit_code == 0, answer
        return self.dialect.read_status(answer.stdout, time.time(), tag)

    def wait_for(
        self, job: JobDescription, job_ids: Iterable[str], *states: JobState
    ) -> dict[str, JobStatus]:
        """Poll until all jobs are in one of these states."""
        wanted, give_up = set(job_ids), time.monotonic() + PATIENCE_S
        while True:
            found = self.status(job.tag)
            gone = {name: JobStatus(job_id=name, state=JobState.GONE) for name in wanted}
            seen = {name: status for name, status in (gone | found).items() if name in wanted}
            if all(status.state in states for status in seen.values()):
                return seen
            assert time.monotonic() < give_up, f"waited for {states}, have {seen}"
            time.sleep(0.2)

    def wait_for_end(
        self, job: JobDescription, job_id: str, patience_s: float = PATIENCE_S
    ) -> JobEnd:
        """Poll until a job is over, and tell how: by what the queue says, then by the autopsy."""
        give_up = time.monotonic() + patience_s
        told = None
        while time.monotonic() < give_up:
            status = self.status(job.tag).get(job_id)
            told = status.end if status and status.end else told
            if status is None or status.state not in _LIVES or status.end:
                if not self.tells_ends:
                    return told or JobEnd(job_id=job_id, cause="unknown")
                (command,) = self.dialect.autopsy((job_id,))
                end = self.dialect.read_autopsy(self.run(command).stdout).get(job_id)
                if end is None and status and status.state is JobState.HELD:
                    end = told
                if end is not None:
                    return end
            time.sleep(0.2)
        raise AssertionError(f"{job_id} never ended, or nobody tells how; the queue said {told}")

    def cancel(self, *job_ids: str) -> None:
        """Cancel jobs, whatever has become of them."""
        for command in self.dialect.cancel(job_ids):
            self.run(command)


class BatchConformance:
    """Tests of a dialect against a farm."""

    @pytest.fixture
    def farm(self) -> BatchFarm:
        """The farm; each dialect has its own."""
        raise NotImplementedError

    @pytest.fixture
    def submit(self, farm: BatchFarm) -> Iterator[Submit]:
        """Submit jobs that do not outlive their test."""
        submitted: list[str] = []

        def submit(job: JobDescription) -> tuple[str, ...]:
            job_ids = farm.submit(job)
            submitted.extend(job_ids)
            return job_ids

        yield submit
        farm.cancel(*submitted)

    def test_a_job_gets_what_it_was_given(self, farm: BatchFarm, submit: Submit) -> None:
        shown = 'printf "%s|%s|%s" "$1" "$VALUE" "$MORE"; echo oops >&2'
        job = farm.describe(
            "sh", "-c", shown, "sh", _HOSTILE,
            environment={"VALUE": _HOSTILE}, prologue=("if true; then", "export MORE=more", "fi"),
        )  # fmt: skip
        (job_id,) = submit(job)
        end = farm.wait_for_end(job, job_id)
        logs = farm.dialect.logs(job, job_id)
        assert _read_when_there(logs.out) == f"{_HOSTILE}|{_HOSTILE}|more"
        assert _read_when_there(logs.err) == "oops\n"
        if farm.tells_ends:
            assert (end.cause, end.exit_code) == ("finished", 0)

    def test_the_queue_tells_where_a_job_runs_since_when_and_how_long_it_may(
        self, farm: BatchFarm, submit: Submit
    ) -> None:
        job = farm.describe("sleep", "100", walltime_s=600)
        before = time.time()
        (job_id,) = submit(job)
        status = farm.wait_for(job, (job_id,), JobState.RUNNING)[job_id]
        assert status.tag == job.tag
        assert status.host
        assert status.end is None
        assert status.started_at is not None
        assert status.ends_at is not None
        assert before - 3 <= status.started_at <= time.time() + 3
        assert 597 <= status.ends_at - status.started_at <= 603

    def test_an_array_is_one_submission_and_each_member_has_its_own_life(
        self, farm: BatchFarm, submit: Submit
    ) -> None:
        job = farm.describe("sleep", "100")
        job_ids = _submit_many(farm, submit, job, 3)
        assert len(set(job_ids)) == 3
        assert set(farm.wait_for(job, job_ids, JobState.PENDING, JobState.RUNNING)) == set(job_ids)
        farm.wait_for(job, job_ids, JobState.RUNNING)
        farm.cancel(job_ids[1])
        farm.wait_for(job, job_ids[1:2], JobState.GONE, JobState.FAILED)
        rest = farm.status(job.tag)
        assert {rest[job_ids[0]].state, rest[job_ids[2]].state} == {JobState.RUNNING}
        logs = {farm.dialect.logs(job, job_id) for job_id in job_ids}
        assert len(logs) == 3
        assert _read_when_there(farm.dialect.logs(job, job_ids[2]).err) == ""

    def test_one_call_tells_of_one_cluster_or_of_all(self, farm: BatchFarm, submit: Submit) -> None:
        ours, other = farm.describe("sleep", "100"), farm.describe("sleep", "100")
        (our_id,), (other_id,) = submit(ours), submit(other)
        assert {our_id} == set(farm.status(ours.tag))
        assert {our_id: ours.tag, other_id: other.tag}.items() <= {
            job_id: status.tag for job_id, status in farm.status().items()
        }.items()

    def test_a_cluster_without_jobs_has_none(self, farm: BatchFarm) -> None:
        assert farm.status("bp-never-was") == {}

    def test_a_failed_job_is_told_by_its_exit_code(self, farm: BatchFarm, submit: Submit) -> None:
        job = farm.describe("sh", "-c", "exit 7")
        (job_id,) = submit(job)
        end = farm.wait_for_end(job, job_id)
        assert end.cause == "exit"
        if farm.tells_ends:
            assert end.exit_code == 7
        assert end.words

    def test_a_killed_job_is_told_by_its_signal(self, farm: BatchFarm, submit: Submit) -> None:
        job = farm.describe("sh", "-c", "kill -9 $$")
        (job_id,) = submit(job)
        end = farm.wait_for_end(job, job_id)
        assert end.cause == "signal"
        if farm.tells_ends:
            assert end.signal == 9

    def test_a_cancelled_job_is_told_as_such(self, farm: BatchFarm, submit: Submit) -> None:
        job = farm.describe("sleep", "100")
        (job_id,) = submit(job)
        farm.wait_for(job, (job_id,), JobState.RUNNING)
        farm.cancel(job_id)
        cause = farm.wait_for_end(job, job_id).cause
        assert cause == "cancelled" if farm.tells_cancels else cause in {"signal", "exit"}

    def test_a_cancelled_job_is_asked_to_go_first(self, farm: BatchFarm, submit: Submit) -> None:
        if not farm.first_signal:
            pytest.skip("this system kills at once")
        told = farm.folder / f"told-{uuid.uuid4().hex}"
        trap = f"trap 'touch \"$1\"; exit' {farm.first_signal}; echo up; sleep 100 & wait"
        job = farm.describe("sh", "-c", trap, "sh", str(told))
        (job_id,) = submit(job)
        _wait_for_text(farm.dialect.logs(job, job_id).out, "up\n")
        farm.cancel(job_id)
        _wait_until(told.exists)

    def test_cancelling_what_has_ended_hurts_nobody(self, farm: BatchFarm, submit: Submit) -> None:
        job = farm.describe("true")
        other = farm.describe("sleep", "100")
        (job_id,), (other_id,) = submit(job), submit(other)
        farm.wait_for_end(job, job_id)
        farm.cancel(job_id)
        assert farm.status(other.tag)[other_id].state in {JobState.PENDING, JobState.RUNNING}

    def test_a_refusal_is_in_the_systems_own_words(self, farm: BatchFarm, submit: Submit) -> None:
        with pytest.raises(BatchRefusedError) as refused:
            submit(farm.describe("true", **farm.refused))
        assert refused.value.why
        assert "Traceback" not in refused.value.why

    def test_a_held_job_says_so_and_goes_on_when_released(
        self, farm: BatchFarm, submit: Submit
    ) -> None:
        if not farm.held:
            pytest.skip("this system holds no jobs")
        job = farm.describe("sleep", "100", **farm.held)
        (job_id,) = submit(job)
        status = farm.wait_for(job, (job_id,), JobState.HELD)[job_id]
        assert status.reason
        assert status.end is None
        for command in farm.dialect.release((job_id,)):
            assert farm.run(command).exit_code == 0
        farm.wait_for(job, (job_id,), JobState.RUNNING)

    def test_a_job_that_cannot_start_waits_and_says_why(
        self, farm: BatchFarm, submit: Submit
    ) -> None:
        if not farm.tells_reasons:
            pytest.skip("this system does not say")
        blocker = farm.describe("sleep", "100", cores=2)
        # Its size is its own, so that the system has to look at it for itself.
        job = farm.describe("true", cores=2, memory_bytes=120 * 2**20)
        _submit_many(farm, submit, blocker, 8)
        (job_id,) = submit(job)
        give_up = time.monotonic() + PATIENCE_S
        while not (status := farm.status(job.tag)[job_id]).reason:
            assert status.state is JobState.PENDING
            assert time.monotonic() < give_up, "it waits and does not say why"
            time.sleep(0.2)

    def test_nodes_are_called_as_jobs_call_them(self, farm: BatchFarm, submit: Submit) -> None:
        nodes = _find_nodes(farm)
        job = farm.describe("sleep", "100")
        (job_id,) = submit(job)
        status = farm.wait_for(job, (job_id,), JobState.RUNNING)[job_id]
        assert status.host in nodes
        farm.cancel(job_id)
        end = farm.wait_for_end(job, job_id)
        if farm.tells_ends:
            assert end.host in nodes

    def test_jobs_are_kept_off_nodes(self, farm: BatchFarm, submit: Submit) -> None:
        *others, last = sorted(_find_nodes(farm))
        if others:
            job = farm.describe("sleep", "100", avoid=tuple(others))
            job_ids = (*submit(job), *submit(job))
            found = farm.wait_for(job, job_ids, JobState.RUNNING)
            assert {found[job_id].host for job_id in job_ids} == {last}
            return
        job, other = farm.describe("true", avoid=(last,)), farm.describe("true")
        (job_id,), (other_id,) = submit(job), submit(other)
        farm.wait_for_end(other, other_id)
        assert farm.status(job.tag)[job_id].state is JobState.PENDING

    def test_files_are_sent_along(self, farm: BatchFarm, submit: Submit) -> None:
        if not farm.dialect.has_file_transfer:
            pytest.skip("this system sends no files")
        sent = farm.folder / "sent µ file.txt"
        sent.write_text("as sent", encoding="utf-8")
        job = farm.describe("cat", sent.name, files=(sent,))
        (job_id,) = submit(job)
        farm.wait_for_end(job, job_id)
        assert _read_when_there(farm.dialect.logs(job, job_id).out) == "as sent"

    def test_a_job_is_told_before_its_time_is_over(self, farm: BatchFarm, submit: Submit) -> None:
        if not farm.dialect.has_signal_ahead:
            pytest.skip("this system does not")
        # Slurm may be a minute early, which is what keeps this test short.
        job = farm.describe(
            "sh", "-c", "trap 'echo told; exit' TERM; echo up; sleep 200 & wait",
            walltime_s=180, signal_ahead_s=170,
        )  # fmt: skip
        (job_id,) = submit(job)
        log = farm.dialect.logs(job, job_id).out
        _wait_for_text(log, "up\n")

        def is_told() -> bool:
            farm.status(job.tag)  # fake queues move on when somebody looks
            return log.read_text(encoding="utf-8") != "up\n"

        _wait_until(is_told)
        assert log.read_text(encoding="utf-8") == "up\ntold\n"

    @pytest.mark.timeout(300)
    def test_a_job_that_takes_too_long_is_ended_and_told_as_such(
        self, farm: BatchFarm, submit: Submit
    ) -> None:
        if not farm.shortest_walltime_s:
            pytest.skip("it takes too long")
        job = farm.describe("sleep", "280", walltime_s=farm.shortest_walltime_s)
        (job_id,) = submit(job)
        assert farm.wait_for_end(job, job_id, 240).cause == "walltime"

    @pytest.mark.parametrize("text", ["<html>busy</html>\n", "a b c d\n", "{}\n", "[{}]\n"])
    def test_what_is_no_answer_is_an_error_and_not_an_empty_queue(
        self, farm: BatchFarm, text: str
    ) -> None:
        with pytest.raises(BatchOutputError):
            farm.dialect.read_status(text, 0)
        with pytest.raises(BatchOutputError):
            farm.dialect.read_submitted(text, 1)
        with pytest.raises(BatchOutputError):
            farm.dialect.read_autopsy(text)

    def test_ten_thousand_jobs_are_cancelled_by_commands_that_fit(self, farm: BatchFarm) -> None:
        job_ids = tuple(f"{number}" for number in range(1_000_000, 1_010_000))
        commands = farm.dialect.cancel(job_ids)
        assert max(len(" ".join(command.argv)) for command in commands) < 100_000
        assert set(job_ids) <= {
            part for command in commands for text in command.argv for part in text.split(",")
        }


def _find_nodes(farm: BatchFarm) -> frozenset[str]:
    if not isinstance(farm.dialect, KnowsNodes):
        pytest.skip("this system is not asked for its nodes")
    return farm.dialect.read_nodes(farm.run(farm.dialect.nodes()).stdout)


def _submit_many(farm: BatchFarm, submit: Submit, job: JobDescription, count: int) -> list[str]:
    """Submit equal jobs at once, or one by one where the system has no arrays for us."""
    if farm.dialect.largest_array >= count:
        return list(submit(replace(job, count=count)))
    return [job_id for _ in range(count) for job_id in submit(job)]


def _wait_until(holds: Callable[[], object]) -> None:
    give_up = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < give_up, "waited for too long"
        time.sleep(0.1)


def _wait_for_text(path: Path, text: str) -> None:
    _wait_until(lambda: path.exists() and path.read_text(encoding="utf-8") == text)


def _read_when_there(path: Path) -> str:
    _wait_until(path.exists)
    return path.read_text(encoding="utf-8")
