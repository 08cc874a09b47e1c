"""What launchers on a cluster share: the jobs of a sweep, and what is said of those that come to their ends."""

import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus, filter_overrides
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict, read_write

from stn_bench.errors import UserError


class JobFailed(UserError, RuntimeError):
    """Why a job failed, in words: the error itself may need modules that the sweep's own process does without."""


class Worded:
    """A task whose errors are JobFailed; the traceback of one that no user can mend goes to the job's own log."""

    def __init__(self, task_function: TaskFunction) -> None:
        self.task_function = task_function

    def __call__(self, config: DictConfig) -> Any:
        """Do the task. Raises JobFailed."""
        try:
            return self.task_function(config)
        except Exception as error:
            if isinstance(error, UserError):
                raise JobFailed(str(error)) from None
            traceback.print_exc()
            raise JobFailed(f"{type(error).__name__}: {error}") from None


class Sweep:
    """The jobs of a sweep by their overrides, and how many have ended so far."""

    def __init__(self, hydra_context: HydraContext, config: DictConfig, job_overrides: Sequence[Sequence[str]]) -> None:
        self.hydra_context, self.config = hydra_context, config
        self.jobs = [list(overrides) for overrides in job_overrides]
        self.ended = 0

    def job_config(self, index: int, number: int) -> DictConfig:
        """The config of a job, which has this number among all jobs of the command."""
        config = self.hydra_context.config_loader.load_sweep_config(self.config, self.jobs[index])
        with open_dict(config):
            config.hydra.job.id, config.hydra.job.num = str(number), number
        return config

    def end(self, index: int, outcome: JobReturn | Exception) -> JobReturn:
        """Say that a job has ended, and how; what stands for its return, if it is only known why it has none."""
        result = outcome if isinstance(outcome, JobReturn) else self._failed(index, outcome)
        self.ended += 1
        done = result.status == JobStatus.COMPLETED
        words = result.return_value if done else f"FAILED  {result._return_value}"
        print(f"[{self.ended}/{len(self.jobs)}] {self.name(index)}  {words}", file=sys.stderr, flush=True)
        return result

    def name(self, index: int) -> str:
        """The overrides of a job that not all have."""
        shared = set.intersection(*map(set, self.jobs)) if len(self.jobs) > 1 else set()
        return " ".join(word for word in filter_overrides(self.jobs[index]) if word not in shared)

    def _failed(self, index: int, error: Exception) -> JobReturn:
        config = self.job_config(index, index)
        before = HydraConfig.instance().cfg
        try:
            HydraConfig.instance().set_config(config)  # for interpolations
            folder = os.path.abspath(os.path.join(str(config.hydra.sweep.dir), str(config.hydra.sweep.subdir)))
        finally:
            HydraConfig.instance().cfg = before
        with read_write(config.hydra.runtime), open_dict(config.hydra.runtime):
            config.hydra.runtime.output_dir = folder
        result = JobReturn(overrides=self.jobs[index], hydra_cfg=config, status=JobStatus.FAILED)
        result.return_value = error
        return result
