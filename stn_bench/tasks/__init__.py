"""Kinds of problems: the loss to learn by and the metric to report."""

from stn_bench.tasks.classification import Classification

__all__ = ["Classification"]
