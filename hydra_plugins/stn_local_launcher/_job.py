"""The far side: one job of a sweep in a process of its own, which `_process` starts with a task and an answer file."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cloudpickle
from hydra.core.singleton import Singleton

from hydra_plugins.stn_jobs._failure import failed, worded
from hydra_plugins.stn_jobs._far_side import run


def pack(*job: Any) -> bytes:
    """What `main` reads from the task file, for a HydraContext, a task function and a job's config."""
    return cloudpickle.dumps((*job, Singleton.get_state()))


def main(arguments: Sequence[str]) -> None:
    """Do the job in the task file; write its JobReturn, pickled, to the answer file, all at once."""
    task, answer = map(Path, arguments)
    try:
        result = run(*cloudpickle.loads(task.read_bytes()))
    except KeyboardInterrupt as stop:
        result = failed(KeyboardInterrupt(*map(str, stop.args)))
    except Exception as error:
        result = failed(error)
    why = result._return_value
    if isinstance(why, Exception):
        result.return_value = worded(why)
    temporary = answer.with_suffix(".part")
    temporary.write_bytes(cloudpickle.dumps(result))
    os.replace(temporary, answer)
