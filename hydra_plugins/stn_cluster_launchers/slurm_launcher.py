"""A Hydra launcher of Slurm jobs that tells what became of every one, of those that Slurm killed, too.

The jobs are hydra-submitit-launcher's. Its own way to collect them raises at the first that left no result, and waits
for ever for one that was killed where Slurm keeps no accounts.
"""

import shutil
from collections.abc import Sequence
from typing import Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from hydra_plugins.stn_cluster_launchers._queue import outcomes
from hydra_plugins.stn_cluster_launchers._sweep import Sweep, Worded
from stn_bench.errors import UserError
from stn_bench.stderr import say

PROGRAMS = ("sbatch", "srun", "squeue", "scontrol")


class SlurmMissing(UserError, RuntimeError):
    """Raised where submitit or Slurm is not there."""


class SlurmRefuses(UserError, ValueError):
    """Raised where Slurm does not take the jobs: no such partition, more memory than a node has."""


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
                "hydra/launcher=slurm needs submitit, which is not installed: pip install -e '.[slurm]' in the checkout"
            ) from None
        if missing := [name for name in PROGRAMS if shutil.which(name) is None]:
            raise SlurmMissing(
                f"hydra/launcher=slurm finds no {', '.join(missing)} here: type the command on a machine that submits "
                "jobs to a Slurm cluster, or leave hydra/launcher out"
            )
        self.hydra_context, self.config = hydra_context, config
        self.job = Submitit(**{name: value for name, value in self.parameters.items() if value is not None})
        self.job.setup(hydra_context=hydra_context, task_function=Worded(task_function), config=config)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        """Submit a job for each list of overrides; return, in their order, what became of them. Raises SlurmRefuses."""
        import submitit
        from hydra_plugins.hydra_submitit_launcher.config import BaseQueueConf

        parameters = dict(self.job.params)
        executor = submitit.AutoExecutor(
            cluster="slurm",
            folder=parameters.pop("submitit_folder"),
            slurm_max_num_timeout=parameters.pop("max_num_timeout"),
        )
        of_any_cluster = set(OmegaConf.structured(BaseQueueConf))
        executor.update_parameters(
            **{name if name in of_any_cluster else f"slurm_{name}": value for name, value in parameters.items()}
        )
        sweep = Sweep(self.hydra_context, self.config, job_overrides)
        count = len(sweep.jobs)
        numbers = range(initial_job_idx, initial_job_idx + count)
        state = Singleton.get_state()
        try:
            jobs = executor.map_array(
                self.job, sweep.jobs, ["hydra.sweep.dir"] * count, numbers, map(str, numbers), [state] * count
            )
        except submitit.core.utils.FailedJobError:  # submitit has printed what sbatch said
            raise SlurmRefuses("Slurm does not take the jobs, see above: change the keys of hydra.launcher") from None
        array = jobs[0].job_id.split("_")[0]
        logs = jobs[0].paths.folder.parent
        runs = f"{count} run{'s' if count > 1 else ''}"
        say(f"{runs} submitted to Slurm as job {array}; logs: {logs}/{array}*")
        results: dict[int, JobReturn] = {}
        try:
            for index, outcome in outcomes(jobs):
                results[index] = sweep.end(index, outcome)
        except KeyboardInterrupt:
            say(f"the runs go on without this command; `scancel {array}` ends them")
            raise
        return [results[index] for index in range(count)]
