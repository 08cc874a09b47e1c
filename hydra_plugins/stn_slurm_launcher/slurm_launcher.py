"""A Hydra launcher of Slurm jobs that tells what became of every one, of those that Slurm killed, too.

The jobs are hydra-submitit-launcher's. Its own way to collect them raises at the first that left no result, and waits
for ever for one that was killed where Slurm keeps no accounts.
"""

import shutil
import sys
from collections.abc import Sequence
from typing import Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from hydra_plugins.stn_slurm_launcher.queue import outcomes
from stn_bench.errors import UserError


class SlurmMissing(UserError, RuntimeError):
    """Raised where submitit or Slurm is not there."""


class SlurmLauncher(Launcher):
    """Submits the runs of a sweep as one job array and waits for them. Arguments: `configs/hydra/launcher/slurm.yaml`.

    A run that is preempted, or comes to the end of its time, is told so by a signal and put into the queue again.
    """

    def __init__(self, **parameters: Any) -> None:
        self.parameters = parameters

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take what Hydra hands over. Raises SlurmMissing."""
        try:
            from hydra_plugins.hydra_submitit_launcher.submitit_launcher import SlurmLauncher as Submitit
        except ModuleNotFoundError:
            raise SlurmMissing(
                "hydra/launcher=slurm needs submitit, which is not installed: pip install 'stn-bench[slurm]'"
            ) from None
        if missing := [name for name in ("sbatch", "srun", "squeue") if shutil.which(name) is None]:
            raise SlurmMissing(
                f"hydra/launcher=slurm finds no {', '.join(missing)} here: run the command on a machine that submits "
                "jobs to a Slurm cluster, or leave hydra/launcher out"
            )
        self.job = Submitit(**{name: value for name, value in self.parameters.items() if value is not None})
        self.job.setup(hydra_context=hydra_context, task_function=task_function, config=config)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Submit a job for each list of overrides; return, in their order, what became of them."""
        import submitit
        from hydra_plugins.hydra_submitit_launcher.config import BaseQueueConf
        from omegaconf import OmegaConf

        parameters = dict(self.job.params)
        executor = submitit.AutoExecutor(
            cluster="slurm",
            folder=parameters.pop("submitit_folder"),
            slurm_max_num_timeout=parameters.pop("max_num_timeout"),
        )
        of_all_clusters = set(OmegaConf.structured(BaseQueueConf))
        executor.update_parameters(
            **{name if name in of_all_clusters else f"slurm_{name}": value for name, value in parameters.items()}
        )
        numbers = range(initial_job_idx, initial_job_idx + len(job_overrides))
        jobs = executor.map_array(
            self.job,
            [list(overrides) for overrides in job_overrides],
            ["hydra.sweep.dir"] * len(numbers),
            numbers,
            [str(number) for number in numbers],
            [Singleton.get_state()] * len(numbers),
        )
        array = jobs[0].job_id.split("_")[0]
        print(
            f"{len(jobs)} runs submitted to Slurm as job {array}; what they print goes to {jobs[0].paths.folder}",
            file=sys.stderr,
        )
        try:
            found = outcomes(jobs)
        except KeyboardInterrupt:
            print(f"the runs go on; `scancel {array}` ends them", file=sys.stderr)
            raise
        return [
            outcome if isinstance(outcome, JobReturn) else _failed(overrides, outcome)
            for overrides, outcome in zip(job_overrides, found, strict=True)
        ]


def _failed(overrides: Sequence[str], error: Exception) -> JobReturn:
    result = JobReturn(overrides=overrides, status=JobStatus.FAILED)
    result.return_value = error
    return result
