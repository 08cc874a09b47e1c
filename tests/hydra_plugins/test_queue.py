"""Waiting for jobs of Slurm: what counts as an end, and what is said of a job that left nothing."""

import itertools
from types import SimpleNamespace

import pytest

from hydra_plugins.stn_cluster_launchers import _queue as queue
from hydra_plugins.stn_jobs._failure import JobFailed


class Job:
    """A job whose file is in a folder once it has ended well; `results` gives what is in it, or raises."""

    def __init__(self, folder, number, result="", ended=False):
        self.job_id = f"7_{number}"
        self.paths = SimpleNamespace(result_pickle=folder / f"{self.job_id}.pkl", stderr=f"{self.job_id}.err")
        self.result = result
        if ended:
            self.end()

    def end(self):
        self.paths.result_pickle.touch()

    def results(self):
        if isinstance(self.result, Exception):
            raise self.result
        return [self.result]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    for name in ("LOOK_SECONDS", "ASK_SECONDS", "FILE_SECONDS"):
        monkeypatch.setattr(queue, name, 0.001)


@pytest.fixture
def slurm_says(monkeypatch):
    """A function of answers: what Slurm knows, question by question; the last holds from then on."""

    def say(*answers):
        left = list(answers)

        def states():
            answer = left.pop(0) if len(left) > 1 else left[0]
            return answer() if callable(answer) else answer

        monkeypatch.setattr(queue, "states", states)

    return say


def test_jobs_are_told_as_they_end(tmp_path, slurm_says):
    jobs = [Job(tmp_path, 0, "first"), Job(tmp_path, 1, "second", ended=True)]

    def first_ends():
        jobs[0].end()
        return {}

    slurm_says({"7_0": "RUNNING"}, first_ends)
    assert list(queue.outcomes(jobs)) == [(1, "second"), (0, "first")]


def test_a_job_that_slurm_calls_completed_before_its_file_is_seen_is_waited_for(tmp_path, slurm_says, monkeypatch):
    monkeypatch.setattr(queue, "FILE_SECONDS", 60)
    job = Job(tmp_path, 0, "late")

    def file_arrives():
        job.end()
        return {"7_0": "COMPLETED"}

    slurm_says({"7_0": "COMPLETED"}, {"7_0": "COMPLETED"}, file_arrives)
    assert list(queue.outcomes([job])) == [(0, "late")]


@pytest.mark.parametrize(
    ("known", "state"), [({"7_0": "OUT_OF_MEMORY"}, "OUT_OF_MEMORY"), ({"8_0": "RUNNING"}, "no longer known")]
)
def test_a_job_that_is_gone_without_a_file_has_failed(tmp_path, slurm_says, known, state):
    slurm_says(known)
    ((index, error),) = queue.outcomes([Job(tmp_path, 0)])
    assert index == 0
    assert isinstance(error, JobFailed)
    assert str(error) == f"Slurm's job 7_0 ended without a result ({state}); its log is 7_0.err"


def test_a_job_that_is_in_the_queue_again_has_not_ended(tmp_path, slurm_says, monkeypatch):
    now = itertools.count()  # seconds, if every look at the clock is one later
    monkeypatch.setattr(queue, "time", SimpleNamespace(monotonic=lambda: next(now), sleep=lambda seconds: None))
    monkeypatch.setattr(queue, "FILE_SECONDS", 50)
    job = Job(tmp_path, 0, "resumed")

    def ends():
        job.end()
        return {}

    slurm_says({"7_0": "CANCELLED"}, *[{"7_0": "PENDING"}] * 300, {"7_0": "RUNNING"}, ends)
    assert list(queue.outcomes([job])) == [(0, "resumed")]


def test_a_controller_that_is_away_ends_no_job(tmp_path, slurm_says):
    job = Job(tmp_path, 0, "done")

    def comes_back():
        job.end()
        return {}

    slurm_says(*[None] * 50, comes_back)
    assert list(queue.outcomes([job])) == [(0, "done")]


def test_of_what_submitit_says_of_an_error_the_last_line_is_told(tmp_path):
    raised = RuntimeError(
        "Job failed with trace:\n----\n  File 'x'\nsubmitit.UncompletedJobError: timed-out\n----\nlogs"
    )
    ((_, error),) = queue.outcomes([Job(tmp_path, 0, raised, ended=True)])
    assert str(error) == "submitit.UncompletedJobError: timed-out; its log is 7_0.err"


@pytest.mark.parametrize(
    ("script", "known"),
    [("echo 7_0 RUNNING; echo 7_1 TIMEOUT", {"7_0": "RUNNING", "7_1": "TIMEOUT"}), ("true", {}), ("exit 1", None)],
)
def test_states_are_those_that_squeue_lists(tmp_path, monkeypatch, script, known):
    program = tmp_path / "squeue"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert queue.states() == known
