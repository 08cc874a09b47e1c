"""Fitting widths to a budget of parameters, so that rows of a table differ by the transformer alone."""

from collections.abc import Callable

import torch
from torch import nn


def parameter_count(module: nn.Module) -> int:
    """How many numbers of a module are trained."""
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)


def check_widths(**widths: int | None) -> None:
    """Raise ValueError for a layer without units or filters, by its name. None is left to be fitted."""
    for name, width in widths.items():
        if width is not None and width < 1:
            raise ValueError(f"{name}={width} leaves a layer empty: give 1 or more")


def widest(build: Callable[[int], nn.Module], budget: int) -> int:
    """The largest width for which `build(width)` has at most `budget` parameters.

    `build` must have more parameters the larger the width; it is called without memory being taken.
    Raises ValueError where even width 1 is above the budget.
    """

    def fits(width: int) -> bool:
        with torch.device("meta"):
            return parameter_count(build(width)) <= budget

    if not fits(1):
        raise ValueError(
            f"a budget of {budget:,} parameters is too small for width 1: raise model.parameters_budget "
            "or make the transformer's localiser smaller"
        )
    low, high = 1, 2
    while fits(high):
        low, high = high, 2 * high
    while high - low > 1:  # low fits, high does not
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
