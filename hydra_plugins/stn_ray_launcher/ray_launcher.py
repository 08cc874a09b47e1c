"""A Hydra launcher of Ray tasks that tells what became of every one, of those whose worker was killed, too."""

import os
import sys
from collections.abc import Sequence
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from stn_bench.errors import UserError

OBJECT_STORE_BYTES = 80 * 2**20
"""Ray would take 30 % of the memory; what runs return are lines."""


class RayMissing(UserError, RuntimeError):
    """Raised where Ray is not installed."""


class TaskLost(UserError, RuntimeError):
    """A task that ended without a result: its worker was killed, however often it was tried."""


class RayLauncher(Launcher):
    """Runs the jobs of a sweep on a Ray cluster. Arguments: `configs/hydra/launcher/ray.yaml`."""

    def __init__(self, ray: DictConfig) -> None:
        self.ray = ray

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take what Hydra hands over. Raises RayMissing."""
        try:
            import ray  # noqa: F401
        except ModuleNotFoundError:
            raise RayMissing(
                "hydra/launcher=ray needs Ray, which is not installed: pip install 'stn-bench[ray]'"
            ) from None
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run a task for each list of overrides; return, in their order, what became of them."""
        import ray

        started_here = not ray.is_initialized()
        if started_here:
            ray.init(**_init_arguments(self.ray.init))
        remote = ray.remote(**OmegaConf.to_container(self.ray.remote, resolve=True))(_run)
        tasks = []
        for number, overrides in enumerate(job_overrides, initial_job_idx):
            config = self.hydra_context.config_loader.load_sweep_config(self.config, list(overrides))
            with open_dict(config):
                config.hydra.job.id, config.hydra.job.num = str(number), number
            tasks.append(
                remote.remote(self.hydra_context, self.task_function, config, Singleton.get_state(), os.getcwd())
            )
        print(f"{len(tasks)} runs handed to Ray", file=sys.stderr)
        try:
            return [_outcome(task, overrides) for task, overrides in zip(tasks, job_overrides, strict=True)]
        finally:
            if started_here:
                ray.shutdown()


def _init_arguments(config: DictConfig) -> dict[str, Any]:
    arguments = {key: value for key, value in OmegaConf.to_container(config, resolve=True).items() if value is not None}
    if "address" not in arguments and not os.environ.get("RAY_ADDRESS"):
        arguments.setdefault("object_store_memory", OBJECT_STORE_BYTES)
    return arguments


def _run(
    hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig, singletons: Any, folder: str
) -> JobReturn:
    """One job, in a worker."""
    os.chdir(folder)  # what relative names in the config are relative to
    setup_globals()
    Singleton.set_state(singletons)
    HydraConfig.instance().set_config(config)
    return run_job(
        hydra_context=hydra_context,
        task_function=task_function,
        config=config,
        job_dir_key="hydra.sweep.dir",
        job_subdir_key="hydra.sweep.subdir",
    )


def _outcome(task: Any, overrides: Sequence[str]) -> JobReturn:
    import ray

    try:
        return ray.get(task)
    except ray.exceptions.RayError as error:
        result = JobReturn(overrides=overrides, status=JobStatus.FAILED)
        result.return_value = TaskLost(f"{type(error).__name__}: {str(error).strip().splitlines()[-1]}")
        return result
