"""The far side: one job of a sweep in a process of its own, which `_process` starts with a task and an answer file."""

import os
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cloudpickle
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, run_job, setup_globals

from hydra_plugins.stn_jobs._failure import JobFailed, failed
from stn_bench.errors import UserError


def pack(*job: Any) -> bytes:
    """What `main` reads from the task file, for a HydraContext, a task function and a job's config."""
    return cloudpickle.dumps((*job, Singleton.get_state()))


def main(arguments: Sequence[str]) -> None:
    """Do the job in the task file; write its JobReturn, pickled, to the answer file, all at once."""
    task, answer = map(Path, arguments)
    try:
        result = _run(*cloudpickle.loads(task.read_bytes()))
    except KeyboardInterrupt as stop:
        result = failed(KeyboardInterrupt(*map(str, stop.args)))
    except Exception as error:
        result = failed(error)
    why = result._return_value
    if isinstance(why, Exception):
        if not isinstance(why, UserError):
            traceback.print_exception(why)
        result.return_value = JobFailed(_words(why))
    temporary = answer.with_suffix(".part")
    temporary.write_bytes(cloudpickle.dumps(result))
    os.replace(temporary, answer)


def _run(hydra_context: Any, task_function: Any, config: Any, state: Any) -> JobReturn:
    Singleton.set_state(state)
    setup_globals()
    return run_job(
        hydra_context=hydra_context,
        task_function=task_function,
        config=config,
        job_dir_key="hydra.sweep.dir",
        job_subdir_key="hydra.sweep.subdir",
    )


def _words(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, UserError) else f"{type(error).__name__}: {text}"
