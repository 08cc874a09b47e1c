"""Convolution and pooling as the library computes them, faster."""

from stn_bench.convolution.functional import average_pool, convolve, convolve_relu, convolve_relu_pool, max_pool

__all__ = ["average_pool", "convolve", "convolve_relu", "convolve_relu_pool", "max_pool"]
