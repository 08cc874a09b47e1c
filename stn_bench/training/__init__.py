"""Training: a recipe as data, a generator of steps, evaluation, and one run from draws to outcome."""

from stn_bench.training.recipe import Recipe, StepDecay, WarmupCosine

__all__ = ["Recipe", "StepDecay", "WarmupCosine"]
