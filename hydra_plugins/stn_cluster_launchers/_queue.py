"""Waiting for jobs of Slurm: by the files they leave and by `squeue`, which needs no accounts as `sacct` does."""

import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from hydra_plugins.stn_jobs._failure import JobFailed

LOOK_SECONDS = 1.0
"""Between looks at the files."""
ASK_SECONDS = 10.0
"""Between questions to Slurm's controller, which serves all users of a cluster."""
FILE_SECONDS = 15.0
"""How much later than its job's end a file may show up on a network's file system; submitit waits as long."""
ENDED = {"BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "TIMEOUT"}


class Paths(Protocol):
    """Where submitit keeps what belongs to a job."""

    result_pickle: Path
    stderr: Path


class Job(Protocol):
    """What is needed of a job of submitit."""

    job_id: str
    paths: Paths

    def results(self) -> list[Any]:
        """What the tasks of the job returned. Raises what one of them raised."""


def outcomes(jobs: Sequence[Job]) -> Iterator[tuple[int, Any]]:
    """The place in the list of each job that has ended, and what it returned or a JobFailed, until all have ended.

    That a job has ended is seen by its file: Slurm says COMPLETED of a job that raised, too. A job that ended
    otherwise leaves none, and is no longer in the queue.
    """
    waiting = dict(enumerate(jobs))
    gone: dict[int, tuple[float, str]] = {}  # since when, and as what
    asked = time.monotonic()
    while True:
        for index, job in list(waiting.items()):
            if job.paths.result_pickle.exists():
                del waiting[index]
                yield index, _outcome(job)
            elif index in gone and time.monotonic() > gone[index][0] + FILE_SECONDS:
                del waiting[index]
                words = f"Slurm's job {job.job_id} ended without a result ({gone[index][1]})"
                yield index, JobFailed(f"{words}; its log is {job.paths.stderr}")
        if not waiting:
            return
        time.sleep(LOOK_SECONDS)
        if time.monotonic() < asked + ASK_SECONDS:
            continue
        asked = time.monotonic()
        known = states()
        if known is None:  # the controller is away, and will come back
            continue
        for index, job in waiting.items():
            state = known.get(job.job_id, "no longer known")
            if state in ENDED or job.job_id not in known:
                gone.setdefault(index, (asked, state))
            else:
                gone.pop(index, None)  # in the queue again


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
    except Exception as error:  # in submitit's words, which hold a traceback: its last line says what happened
        lines = [line.strip() for line in str(error).splitlines() if "Error: " in line]
        return JobFailed(f"{lines[-1] if lines else error}; its log is {job.paths.stderr}")
