"""Convolution and pooling as the library computes them, faster on the CPU."""

from stn_bench.convolution.layers import convolve, convolve_and_pool, max_pool

__all__ = ["convolve", "convolve_and_pool", "max_pool"]
