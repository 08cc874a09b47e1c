"""When a training is beyond repair: a loss, a weight, or what a transformer predicts is no longer finite."""

import math
from collections.abc import Iterable, Iterator

import torch

from stn_bench.errors import UserError
from stn_bench.spatial_transformer import NonFiniteTheta
from stn_bench.training.state import Training
from stn_bench.training.steps import Step


class Diverged(UserError, FloatingPointError):
    """Raised where a loss, or what a transformer predicts, is no longer finite."""


def watched(steps: Iterable[Step], training: Training) -> Iterator[Step]:
    """The steps of a training. Raises Diverged where a theta is not finite."""
    try:
        yield from steps
    except NonFiniteTheta as error:
        raise Diverged(f"diverged at step {training.step}: {error}") from error


def check_finite(training: Training) -> None:
    """Raise Diverged where a loss of this epoch or a weight is not finite. Waits for the device: not for every step."""
    loss = float(torch.stack([step.loss for step in training.seen]).sum()) if training.seen else 0.0
    # the last weights made no loss yet
    weights = all(bool(parameter.isfinite().all()) for parameter in training.model.parameters())
    if not (math.isfinite(loss) and weights):
        found = "weights are not finite" if math.isfinite(loss) else f"the loss is {loss}"
        raise Diverged(
            f"diverged between steps {training.steps_before_epoch} and {training.step}: {found}; lower "
            "recipe.optimiser.lr, set recipe.clip_norm=1, or use recipe.precision=fp32"
        )
