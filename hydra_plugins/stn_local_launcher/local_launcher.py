"""A Hydra launcher that runs each job in a process of its own on this machine, a capped number at once.

A job that dies, by a signal or for lack of memory, is one failed job; the others go on.
"""

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from hydra.core.utils import JobReturn, configure_log, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from hydra_plugins.stn_jobs._overrides import hydra_config, job_config, short_names
from hydra_plugins.stn_local_launcher import _job
from hydra_plugins.stn_local_launcher._pool import run_all
from hydra_plugins.stn_local_launcher._process import JobProcess
from hydra_plugins.stn_local_launcher._slots import Slot, SlotError, slots


class LocalLauncher(Launcher):
    """Runs at most `jobs` processes at once: None for as many as there are cores, or `per_gpu` on each GPU.

    `device` is "cpu" for jobs that need no GPU, "auto" or "cuda" for those that take one if there is one; each then
    sees its own alone. The cores are shared out among the processes. `environment` is set in each of them, and comes
    before what they would have. Raises SlotError for one that holds neither texts nor numbers.
    """

    def __init__(
        self,
        jobs: int | None = None,
        per_gpu: int = 1,
        device: str = "auto",
        environment: Mapping[str, str | int | float] | None = None,
    ) -> None:
        self.jobs, self.per_gpu, self.device, self.environment = jobs, per_gpu, device, _texts(environment or {})

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take what Hydra hands over."""
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        """Run all jobs; their returns, in their order.

        One that failed holds a JobFailed, one that was interrupted or not started a KeyboardInterrupt.
        Raises KeyboardInterrupt at a second Ctrl-C; SlotError for settings that leave no job a place.
        """
        setup_globals()
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        places = slots(self.device, self.jobs, self.per_gpu, len(job_overrides))
        known: dict[int, DictConfig] = {}
        with tempfile.TemporaryDirectory(prefix="sweep-") as scratch:

            def start(index: int, slot: Slot) -> JobProcess:
                number = initial_job_idx + index
                config = job_config(self.hydra_context, self.config, job_overrides[index], number)
                known[index] = hydra_config(config)
                task = _job.pack(self.hydra_context, self.task_function, config)
                folder = Path(known[index].hydra.runtime.output_dir)
                environment = {**os.environ, **slot, **self.environment}
                return JobProcess(task, environment, folder, Path(scratch, str(index)))

            results = run_all(short_names(job_overrides), start, places)
        for index, result in enumerate(results):  # a job that died has told nothing of itself
            result.overrides = result.overrides or list(job_overrides[index])
            result.hydra_cfg = result.hydra_cfg or known.get(index)
        return results


def _texts(environment: Mapping[str, str | int | float]) -> dict[str, str]:
    """What an environment can hold. Raises SlotError for what is neither a text nor a number."""
    for name, value in environment.items():
        if not isinstance(value, str | int | float) or isinstance(value, bool):
            raise SlotError(f"hydra.launcher.environment.{name}={value}: give a text or a number")
    return {name: str(value) for name, value in environment.items()}
