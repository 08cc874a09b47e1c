"""How sweeps and their jobs fail, in words."""

import traceback

from hydra.core.utils import JobReturn, JobStatus

from stn_bench.errors import UserError


class SweepFailed(UserError, RuntimeError):
    """Raised at the end of a sweep in which jobs failed, or which has no jobs."""


class JobFailed(UserError, RuntimeError):
    """Why a job failed, in words: the error itself may need modules that the sweep's own process does without."""


def failed(why: BaseException) -> JobReturn:
    """The return of a job that failed: a JobFailed, or a KeyboardInterrupt for one that was told to stop."""
    result = JobReturn(status=JobStatus.FAILED)
    result.return_value = why
    return result


def worded(error: Exception) -> JobFailed:
    """What stands for a job's error; the traceback of one that no user can mend goes to the job's own log."""
    if not isinstance(error, UserError):
        traceback.print_exception(error)
    return JobFailed(in_words(error))


def in_words(error: Exception) -> str:
    """An error in one line, by its kind if no user can mend it."""
    words = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
    return " ".join(words.split())
