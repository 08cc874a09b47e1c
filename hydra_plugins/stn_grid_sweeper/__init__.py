"""The Hydra plugin that expands `sweep=...`."""

from hydra_plugins.stn_grid_sweeper.grid_sweeper import GridSweeper, SweepFailed

__all__ = ["GridSweeper", "SweepFailed"]
