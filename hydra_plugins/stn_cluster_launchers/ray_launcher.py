"""A Hydra launcher of Ray tasks that tells what became of every one, of those whose worker was killed, too."""

import os
from collections.abc import Sequence
from typing import Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from hydra_plugins.stn_cluster_launchers._sweep import Sweep, Worded
from hydra_plugins.stn_jobs._failure import JobFailed
from hydra_plugins.stn_jobs._far_side import run
from stn_bench.errors import UserError
from stn_bench.stderr import say

OBJECT_STORE_BYTES = 80 * 2**20
"""Ray would take 30 % of the memory; what runs return are lines."""


class RayMissing(UserError, RuntimeError):
    """Raised where Ray is not installed, or no cluster is where it was looked for."""


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
                "hydra/launcher=ray needs Ray, which is not installed: pip install -e '.[ray]' in the checkout"
            ) from None
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        """Run a task for each list of overrides; return, in their order, what became of them. Raises RayMissing."""
        import ray

        arguments = init_arguments(self.ray.init)
        try:
            ray.init(**arguments)
        except ConnectionError as error:
            raise RayMissing(
                f"no Ray cluster at {arguments.get('address')} ({error}): start one with `ray start --head`, "
                "or leave hydra.launcher.ray.init.address out"
            ) from None
        try:
            sweep = Sweep(self.hydra_context, self.config, job_overrides)
            remote = ray.remote(**_plain(self.ray.remote))(_run)
            common = ray.put((self.hydra_context, Worded(self.task_function), Singleton.get_state(), os.getcwd()))
            tasks = [
                remote.remote(common, sweep.job_config(index, initial_job_idx + index))
                for index in range(len(sweep.jobs))
            ]
            say(f"{len(tasks)} run{'s' if len(tasks) > 1 else ''} submitted to Ray")
            results: dict[int, JobReturn] = {}
            waiting = list(tasks)
            while waiting:
                (ended,), waiting = ray.wait(waiting)
                index = tasks.index(ended)
                results[index] = sweep.end(index, _outcome(ended))
            return [results[index] for index in range(len(tasks))]
        finally:
            ray.shutdown()


def init_arguments(config: DictConfig) -> dict[str, Any]:
    """The arguments of `ray.init`: those that are not null, and a small object store for a cluster of its own."""
    arguments = {key: value for key, value in _plain(config).items() if value is not None}
    if "address" not in arguments and not os.environ.get("RAY_ADDRESS"):
        arguments.setdefault("object_store_memory", OBJECT_STORE_BYTES)
    return arguments


def _plain(config: DictConfig) -> dict[str, Any]:
    return OmegaConf.to_container(config, resolve=True)  # type: ignore[return-value]


def _run(common: tuple[HydraContext, TaskFunction, Any, str], config: DictConfig) -> JobReturn:
    """One job, in a worker."""
    hydra_context, task_function, singletons, folder = common
    os.chdir(folder)  # what relative names in the config are relative to
    return run(hydra_context, task_function, config, singletons)


def _outcome(task: Any) -> JobReturn | JobFailed:
    import ray

    try:
        return ray.get(task)
    except ray.exceptions.RayError as error:
        return JobFailed(f"{type(error).__name__}: {str(error).strip().splitlines()[0]}")
