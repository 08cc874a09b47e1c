"""The far side: one job of a sweep in another process than the sweep's."""

from typing import Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


def run(hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig, state: Any) -> JobReturn:
    """Do the job in a process that is to know what Hydra knew in the sweep's, `Singleton.get_state()` there."""
    Singleton.set_state(state)
    setup_globals()
    return run_job(
        hydra_context=hydra_context,
        task_function=task_function,
        config=config,
        job_dir_key="hydra.sweep.dir",
        job_subdir_key="hydra.sweep.subdir",
    )
