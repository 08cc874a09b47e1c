"""What launchers on a cluster share: the jobs of a sweep, and what is said of those that come to their ends."""

from collections.abc import Sequence
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from hydra_plugins.stn_jobs._failure import failed, worded
from hydra_plugins.stn_jobs._overrides import hydra_config, job_config, short_names
from stn_bench.stderr import say


class Worded:
    """A task whose errors are JobFailed."""

    def __init__(self, task_function: TaskFunction) -> None:
        self.task_function = task_function

    def __call__(self, config: DictConfig) -> Any:
        """Do the task. Raises JobFailed."""
        try:
            return self.task_function(config)
        except Exception as error:
            raise worded(error) from None


class Sweep:
    """The jobs of a sweep by their overrides, and how many have ended so far."""

    def __init__(self, hydra_context: HydraContext, config: DictConfig, job_overrides: Sequence[Sequence[str]]) -> None:
        self.hydra_context, self.config = hydra_context, config
        self.jobs = [list(overrides) for overrides in job_overrides]
        self.names = short_names(self.jobs)
        self.ended = 0

    def job_config(self, index: int, number: int) -> DictConfig:
        """The config of a job, which has this number among all jobs of the command."""
        return job_config(self.hydra_context, self.config, self.jobs[index], number)

    def end(self, index: int, outcome: JobReturn | Exception) -> JobReturn:
        """Say that a job has ended, and how; what stands for its return, if it is only known why it has none."""
        result = outcome if isinstance(outcome, JobReturn) else self._failed(index, outcome)
        self.ended += 1
        done = result.status == JobStatus.COMPLETED
        words = result.return_value if done else f"FAILED  {result._return_value}"
        say(f"[{self.ended}/{len(self.jobs)}] {self.names[index]}  {words}")
        return result

    def _failed(self, index: int, error: Exception) -> JobReturn:
        result = failed(error)
        result.overrides, result.hydra_cfg = self.jobs[index], hydra_config(self.job_config(index, index))
        return result
