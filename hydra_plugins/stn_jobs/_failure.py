"""What stands for the return of a job that has none."""

from hydra.core.utils import JobReturn, JobStatus

from stn_bench.errors import UserError


class JobFailed(UserError, RuntimeError):
    """Why a job failed, in words: the error itself may need modules that the sweep's own process does without."""


def failed(why: BaseException) -> JobReturn:
    """The return of a job that failed: a JobFailed, or a KeyboardInterrupt for one that was told to stop."""
    result = JobReturn(status=JobStatus.FAILED)
    result.return_value = why
    return result
