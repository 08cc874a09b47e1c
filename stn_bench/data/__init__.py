"""Data: where the bytes come from, and digits distorted on the device."""

from stn_bench.data.distorted import DistortedDigits, distorted_mnist

__all__ = ["DistortedDigits", "distorted_mnist"]
