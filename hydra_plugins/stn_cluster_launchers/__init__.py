"""The Hydra plugins behind `hydra/launcher=slurm` and `hydra/launcher=ray`."""

from hydra_plugins.stn_cluster_launchers.ray_launcher import RayLauncher
from hydra_plugins.stn_cluster_launchers.slurm_launcher import SlurmLauncher

__all__ = ["RayLauncher", "SlurmLauncher"]
