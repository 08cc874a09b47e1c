"""Convolution and pooling as the library computes them, faster on the CPU."""

from stn_bench.convolution.layers import convolve, max_pool

__all__ = ["convolve", "max_pool"]
