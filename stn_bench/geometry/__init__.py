"""Pure functions of points in one coordinate convention; README.md beside this file states it."""

from stn_bench.geometry.grid import pixel_grid
from stn_bench.geometry.sampling import Kernel, Padding, check_sampling, sample

__all__ = ["Kernel", "Padding", "check_sampling", "pixel_grid", "sample"]
