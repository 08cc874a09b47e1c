"""The Hydra plugin that expands `sweep=...`."""

from hydra_plugins.stn_grid_sweeper.grid_sweeper import GridSweeper
from hydra_plugins.stn_jobs._failure import SweepFailed

__all__ = ["GridSweeper", "SweepFailed"]
