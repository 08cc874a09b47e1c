"""The Hydra plugin that expands `sweep=...`."""

from hydra_plugins.stn_grid_sweeper._failure import SweepFailed
from hydra_plugins.stn_grid_sweeper.grid_sweeper import GridSweeper

__all__ = ["GridSweeper", "SweepFailed"]
