"""Pure functions of points in one coordinate convention; README.md beside this file states it."""

from stn_bench.geometry.grid import pixel_grid
from stn_bench.geometry.sampling import Kernel, Padding, check_sampling, sample
from stn_bench.geometry.tracing import holds_numbers

__all__ = ["Kernel", "Padding", "check_sampling", "holds_numbers", "pixel_grid", "sample"]
