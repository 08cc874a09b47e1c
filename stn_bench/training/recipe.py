"""How a network is trained, as data: length, optimiser, schedule, precision."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from stn_bench.errors import UserError
from stn_bench.spatial_transformer import SpatialTransformer
from stn_bench.training.precision import PRECISIONS

Schedule = Callable[[int, int], float]
"""The factor on the learning rate at a step (from 0) of so many steps."""


class RecipeError(UserError, ValueError):
    """A recipe that makes no sense, by itself or for the data at hand."""


@dataclass(frozen=True)
class StepDecay:
    """The learning rate times `factor` after every `every` steps (the paper's: a tenth every 50,000)."""

    every: int
    factor: float

    def __post_init__(self) -> None:
        if not isinstance(self.every, int) or self.every < 1:
            raise RecipeError(f"every={self.every!r} is not a whole number above 0")
        if not self.factor >= 0:
            raise RecipeError(f"factor={self.factor!r} is not a number from 0")

    def __call__(self, step: int, steps: int) -> float:
        """The factor on the learning rate at a step (from 0)."""
        return self.factor ** (step // self.every)


@dataclass(frozen=True)
class WarmupCosine:
    """A linear rise over the share `warmup` of the run, then half a cosine down to 0."""

    warmup: float

    def __post_init__(self) -> None:
        if not (isinstance(self.warmup, int | float) and 0 <= self.warmup < 1):
            raise RecipeError(f"warmup={self.warmup!r} is not a share of the run: give 0 up to below 1")

    def __call__(self, step: int, steps: int) -> float:
        """The factor on the learning rate at a step (from 0) of `steps`."""
        rising = round(self.warmup * steps, 9)  # 0.07 of 100 steps are 7, and 7.000000000000001
        if step < rising:
            return (step + 1) / math.ceil(rising)
        return 0.5 * (1 + math.cos(math.pi * (step - rising) / (steps - rising)))


LOCALISER = "localiser"
"""The key by which an optimiser's group of parameters says whether it is the one of localisers."""

_LIMITS: dict[str, tuple[Callable[[float], bool], str]] = {
    "localiser_lr_multiplier": (lambda value: value >= 0, "from 0"),
    "clip_norm": (lambda value: value > 0, "above 0"),
    "label_smoothing": (lambda value: 0 <= value < 1, "from 0 to below 1"),
    "average_decay": (lambda value: 0 < value < 1, "between 0 and 1"),
    "localiser_weight_decay": (lambda value: value >= 0, "from 0"),
}


@dataclass(frozen=True)
class Recipe:
    """What `configs/recipe/_recipe.yaml` explains key by key. Raises RecipeError for values that make no sense."""

    optimiser: Callable[..., Optimizer]
    schedule: Schedule
    epochs: int | None = None
    steps: int | None = None
    batch_size: int = 256
    precision: str = "fp32"
    localiser_lr_multiplier: float = 1.0
    clip_norm: float | None = None
    localiser_schedule: Schedule | None = None
    label_smoothing: float = 0.0
    average_decay: float | None = None
    localiser_weight_decay: float | None = None

    def __post_init__(self) -> None:
        if not callable(self.optimiser):
            raise RecipeError(
                f"recipe.optimiser={self.optimiser!r} is not an optimiser: choose one with a slash, "
                f"recipe/optimiser={self.optimiser or 'adamw'}"
            )
        for name in ("schedule", "localiser_schedule"):
            value = getattr(self, name)
            if not callable(value) and (name == "schedule" or value is not None):
                raise RecipeError(f"recipe.{name}={value!r} is not a schedule: name one in its _target_")
        if (self.epochs is None) == (self.steps is None):
            raise RecipeError(
                f"a recipe lasts so many epochs or so many steps, found recipe.epochs={self.epochs} and "
                f"recipe.steps={self.steps}: give one and set the other to null"
            )
        for name in ("epochs", "steps", "batch_size"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < 1):
                raise RecipeError(f"recipe.{name}={value!r} is not a whole number above 0")
        if self.precision not in PRECISIONS:
            raise RecipeError(f"recipe.precision={self.precision!r} is not known: use {' or '.join(PRECISIONS)}")
        for name, (holds, words) in _LIMITS.items():
            value = getattr(self, name)
            if value is None and name in ("clip_norm", "average_decay", "localiser_weight_decay"):
                continue
            if not (isinstance(value, int | float) and holds(value)):
                raise RecipeError(f"recipe.{name}={value!r} is not a number {words}")

    def total_steps(self, train_count: int) -> int:
        """How many optimiser steps the run has on so many training images.

        Raises RecipeError where they do not fill one batch.
        """
        per_epoch = train_count // self.batch_size
        if per_epoch == 0:
            raise RecipeError(
                f"{train_count} training images do not fill one batch: set recipe.batch_size to at most {train_count}"
            )
        return self.steps if self.steps is not None else int(self.epochs or 0) * per_epoch

    def make_optimiser(self, model: nn.Module) -> Optimizer:
        """The optimiser; localisers and regression layers are a group of their own, with their own learning rate and
        weight decay.

        Raises RecipeError for values that the optimiser refuses, and for one that does not keep what its groups say.
        """
        in_transformers = {
            id(parameter)
            for module in model.modules()
            if isinstance(module, SpatialTransformer)
            for parameter in module.parameters()
        }
        groups: list[dict[str, Any]] = [
            {"params": [p for p in model.parameters() if id(p) not in in_transformers], LOCALISER: False},
            {"params": [p for p in model.parameters() if id(p) in in_transformers], LOCALISER: True},
        ]
        try:
            optimiser = self.optimiser([group for group in groups if group["params"]])
        except (TypeError, ValueError) as error:
            raise RecipeError(f"recipe.optimiser cannot be built: {error}") from error
        for group in optimiser.param_groups:
            if LOCALISER not in group:
                raise RecipeError(
                    f"recipe.optimiser makes groups without the key {LOCALISER!r}, by which their learning rates are "
                    f"told apart: have {type(optimiser).__name__} keep the keys of the groups that it is given"
                )
            if group[LOCALISER]:
                group["lr"] *= self.localiser_lr_multiplier
                if self.localiser_weight_decay is not None:
                    if "weight_decay" not in group:
                        raise RecipeError(
                            f"recipe.localiser_weight_decay={self.localiser_weight_decay} asks for what "
                            f"{type(optimiser).__name__} does not have: leave it out, or choose recipe/optimiser=adamw"
                        )
                    group["weight_decay"] = self.localiser_weight_decay
        return optimiser

    def make_schedule(self, optimiser: Optimizer, steps: int) -> LambdaLR:
        """The learning rates of `make_optimiser`'s groups over a run of so many steps.

        Raises RecipeError for a schedule that has no factor for the first step or for the last.
        """

        def factor(name: str) -> Callable[[int], float]:
            schedule: Schedule = getattr(self, name)
            for step in (0, steps - 1):
                try:
                    float(schedule(step, steps))
                except (TypeError, ValueError, LookupError) as error:
                    raise RecipeError(
                        f"recipe.{name} has no factor on the learning rate for step {step} of {steps} "
                        f"({type(error).__name__}: {error}): it is called with a step, from 0, and their number"
                    ) from error
            return lambda step: schedule(min(step, steps - 1), steps)  # asked for one more after the last step

        of_others = factor("schedule")
        of_localisers = of_others if self.localiser_schedule is None else factor("localiser_schedule")
        groups = optimiser.param_groups
        return LambdaLR(optimiser, [of_localisers if group[LOCALISER] else of_others for group in groups])
