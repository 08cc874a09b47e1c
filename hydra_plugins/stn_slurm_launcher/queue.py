"""Waiting for jobs of Slurm: by the files they leave and by `squeue`, which needs no accounting as `sacct` does."""

import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from stn_bench.errors import UserError

LOOK_SECONDS = 1.0
"""Between looks at the files."""
ASK_SECONDS = 10.0
"""Between questions to Slurm's controller, which serves all users of a cluster."""
FILE_SECONDS = 15.0
"""How much later than its job's end a file may show up on a network's file system."""
ENDED = {"BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "TIMEOUT"}


class JobLost(UserError, RuntimeError):
    """A job that ended without a result: killed, cancelled, out of memory or of time."""


class Paths(Protocol):
    """Where submitit keeps what belongs to a job."""

    result_pickle: Path
    stderr: Path


class Job(Protocol):
    """What is needed of a job of submitit."""

    job_id: str
    paths: Paths

    def results(self) -> list[Any]:
        """What the tasks of the job returned."""


def outcomes(jobs: Sequence[Job]) -> list[Any]:
    """What each job returned, or the exception that says why it returned nothing, in order; waits for all."""
    found: dict[int, Any] = {}
    gone: dict[int, float] = {}
    known: dict[str, str] = {}
    asked = time.monotonic()
    while True:
        for number, job in enumerate(jobs):
            if number in found:
                continue
            if job.paths.result_pickle.exists():
                found[number] = _outcome(job)
            elif number in gone and time.monotonic() > gone[number] + FILE_SECONDS:
                state = known.get(job.job_id, "unknown to it")
                words = f"Slurm's job {job.job_id} ended without a result ({state})"
                found[number] = JobLost(f"{words}; see {job.paths.stderr}")
        if len(found) == len(jobs):
            return [found[number] for number in range(len(jobs))]
        time.sleep(LOOK_SECONDS)
        if time.monotonic() > asked + ASK_SECONDS:
            asked = time.monotonic()
            answer = states()
            if answer is None:  # the controller is away: it will come back
                continue
            known |= answer
            for number, job in enumerate(jobs):
                if answer.get(job.job_id, "COMPLETED") in ENDED:
                    gone.setdefault(number, asked)
                else:
                    gone.pop(number, None)  # in the queue again


def states() -> Mapping[str, str] | None:
    """The state of each of the user's jobs that Slurm remembers, by id; None where Slurm does not answer."""
    command = ["squeue", "--me", "--array", "--states=all", "--noheader", "--format=%i %T"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return None
    return dict(line.split() for line in done.stdout.splitlines())


def _outcome(job: Job) -> Any:
    try:
        return job.results()[0]
    except Exception as error:  # of the job, in submitit's words, which hold a traceback
        lines = [line for line in str(error).splitlines() if "Error: " in line]
        return JobLost(f"{lines[-1].strip() if lines else error}; see {job.paths.stderr}")
