"""The Hydra plugin behind `hydra/launcher=ray`."""

from hydra_plugins.stn_ray_launcher.ray_launcher import RayLauncher

__all__ = ["RayLauncher"]
