"""Pure functions of points in one coordinate convention; README.md beside this file states it."""

from stn_bench.geometry.grid import may_be_kept, pixel_grid
from stn_bench.geometry.sampling import Kernel, Padding, check_sampling, sample

__all__ = ["Kernel", "Padding", "check_sampling", "may_be_kept", "pixel_grid", "sample"]
