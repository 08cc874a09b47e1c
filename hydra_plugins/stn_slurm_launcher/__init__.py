"""The Hydra plugin behind `hydra/launcher=slurm`."""

from hydra_plugins.stn_slurm_launcher.slurm_launcher import SlurmLauncher

__all__ = ["SlurmLauncher"]
