"""The far side: one job of a sweep in a process of its own, and what comes back from it."""

import os
import sys
import traceback
from collections.abc import Mapping
from multiprocessing.connection import Connection

import cloudpickle
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, run_job, setup_globals

from stn_bench.errors import UserError


class JobFailed(UserError, RuntimeError):
    """Why a job failed, in words: the error itself may need modules that the sweep's own process does without."""


def run(task: bytes, environment: Mapping[str, str], folder: str, output: str, answer: Connection) -> None:
    """Run one job and send back its JobReturn, pickled; it holds a JobFailed or KeyboardInterrupt if it failed.

    `task` is what `pack` made. Everything that the job says, down to the last words of a C library, goes to the file
    `output`, unless the job itself finds a better place.
    """
    os.environ.clear()  # the server that forks these processes has kept those of the first sweep
    os.environ.update(environment)
    os.chdir(folder)
    _say_to(output)
    try:
        hydra_context, task_function, config, state = cloudpickle.loads(task)
        Singleton.set_state(state)
        setup_globals()
        result = run_job(
            hydra_context=hydra_context,
            task_function=task_function,
            config=config,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )
    except KeyboardInterrupt as stop:
        result = failed(KeyboardInterrupt(*map(str, stop.args)))
    except Exception as error:
        result = failed(error)
    if isinstance(error := result._return_value, Exception):
        if not isinstance(error, UserError):
            traceback.print_exception(error)
        result.return_value = JobFailed(_words(error))
    sys.stdout.flush()
    sys.stderr.flush()
    answer.send_bytes(cloudpickle.dumps(result))


def failed(why: BaseException) -> JobReturn:
    """What stands for the return of a job that had none."""
    result = JobReturn(status=JobStatus.FAILED)
    result.return_value = why
    return result


def _words(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, UserError) else f"{type(error).__name__}: {text}"


def _say_to(path: str) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)
