"""One run: a network trained by a recipe on one seed's draws, then evaluated once."""

import itertools
import math
import time
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from stn_bench.data.distorted import DistortedDigits
from stn_bench.errors import UserError
from stn_bench.geometry import measure
from stn_bench.spatial_transformer import NonFiniteTheta
from stn_bench.tasks import Classification
from stn_bench.training.evaluation import Evaluation, Warped, autocast, evaluate, watch_transformers
from stn_bench.training.logbook import Logbook
from stn_bench.training.recipe import Recipe
from stn_bench.training.steps import Step, train_steps

EVALUATION_BATCH = 250
PICTURES = 10
"""In how many epochs of a run pictures are drawn."""


class Diverged(UserError, FloatingPointError):
    """Raised where a loss, or what a transformer predicts, is no longer finite."""


class Outcome(NamedTuple):
    """What came of a run."""

    model: nn.Module
    """The network evaluated: with averaged weights where the recipe averages."""
    evaluation: Evaluation
    examples: dict[str, Warped]
    """By transformer: what it does with the same digits under several distortions."""
    steps: int
    epochs: float
    images_seen: int
    seconds: float
    """Of training: drawing, warping, stepping; without evaluation and pictures."""


def run(model: nn.Module, data: DistortedDigits, recipe: Recipe, seed: int, logbook: Logbook) -> Outcome:
    """Train `model` on `data`, both on the same device, as `recipe` says; then evaluate once.

    The test digits are looked at after training only. Held-out digits are evaluated after each epoch, too.
    Raises Diverged.
    """
    task = Classification(recipe.label_smoothing)
    per_epoch = data.train_count // recipe.batch_size
    steps = recipe.total_steps(data.train_count)
    epochs = math.ceil(steps / per_epoch)
    optimiser = recipe.make_optimiser(model)
    schedule = LambdaLR(optimiser, lambda step: recipe.schedule(step, steps))
    averaged = None
    if recipe.average_decay is not None:
        averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(recipe.average_decay))
    best_known = model if averaged is None else averaged.module

    def after_step() -> None:
        if averaged is not None:
            averaged.update_parameters(model)
        logbook.steps()

    sample = next(data.training_batches(seed, 0, recipe.batch_size))[0]
    done, seconds = 0, 0.0
    for epoch in range(epochs):
        started = time.perf_counter()
        batches = itertools.islice(data.training_batches(seed, epoch, recipe.batch_size), steps - done)
        seen = _finite(
            train_steps(model, batches, task, optimiser, schedule, recipe.precision, recipe.clip_norm, after_step),
            model,
            done,
        )
        loss, wrong = (float(torch.stack(values).float().mean()) for values in zip(*seen, strict=True))
        seconds += time.perf_counter() - started
        done += len(seen)
        numbers = {
            "train/loss": loss,
            "train/error": wrong / recipe.batch_size,
            "train/learning_rate": optimiser.param_groups[0]["lr"],
        }
        if data.evaluated_on == "validation":
            held_out = data.evaluation_batches(EVALUATION_BATCH)
            numbers["validation/error"] = evaluate(best_known, held_out, task, recipe.precision).error
        logbook.scalars(done, numbers)
        logbook.line(_words(epoch, epochs, numbers, done * recipe.batch_size / seconds))
        pictured = epoch == epochs - 1 or epoch % math.ceil(epochs / PICTURES) == 0
        for name, warped in look(best_known, sample, recipe.precision).items():
            logbook.warped(done, name, warped, measure.summary(warped.points))
            if pictured:
                logbook.picture(done, name, warped)
    evaluation = evaluate(best_known, data.evaluation_batches(EVALUATION_BATCH), task, recipe.precision)
    logbook.scalars(done, {f"{data.evaluated_on}/error": evaluation.error})
    examples = look(best_known, data.examples(), recipe.precision)
    return Outcome(best_known, evaluation, examples, done, done / per_epoch, done * recipe.batch_size, seconds)


def _finite(steps: Iterable[Step], model: nn.Module, done: int) -> list[Step]:
    """The steps of one epoch, after `done` others. Raises Diverged where a theta, a loss or a weight is not finite."""
    seen: list[Step] = []
    try:
        for step in steps:
            seen.append(step)
    except NonFiniteTheta as error:
        raise Diverged(f"diverged at step {done + len(seen)}: {error}") from error
    loss = float(torch.stack([step.loss for step in seen]).sum())
    weights = all(bool(parameter.isfinite().all()) for parameter in model.parameters())  # the last made no loss yet
    if not (math.isfinite(loss) and weights):
        found = "weights are not finite" if math.isfinite(loss) else f"the loss is {loss}"
        raise Diverged(
            f"diverged between steps {done} and {done + len(seen)}: {found}; lower recipe.optimiser.lr, "
            "set recipe.clip_norm=1, or use recipe.precision=fp32"
        )
    return seen


@torch.no_grad()
def look(model: nn.Module, images: torch.Tensor, precision: str) -> dict[str, Warped]:
    """What each transformer of a network does with images (B, C, H, W), by name."""
    with watch_transformers(model) as seen, autocast(images.device, precision):
        model(images)
    return dict(seen)


def _words(epoch: int, epochs: int, numbers: dict[str, float], speed: float) -> str:
    text = f"epoch {epoch + 1:>{len(str(epochs))}}/{epochs}  loss {numbers['train/loss']:.4f}"
    text += f"  train error {100 * numbers['train/error']:5.2f} %"
    if "validation/error" in numbers:
        text += f"  validation error {100 * numbers['validation/error']:5.2f} %"
    return f"{text}  {speed:,.0f} images/s"
