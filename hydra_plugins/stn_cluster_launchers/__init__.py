"""The Hydra plugins behind `hydra/launcher=slurm` and `hydra/launcher=ray`.

Hydra loads a plugin's modules anew when it looks for plugins, which makes each class in them twice, but not those whose
names begin with an underscore.
"""

from hydra_plugins.stn_cluster_launchers.ray_launcher import RayLauncher
from hydra_plugins.stn_cluster_launchers.slurm_launcher import SlurmLauncher

__all__ = ["RayLauncher", "SlurmLauncher"]
