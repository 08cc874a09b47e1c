"""One run: a network trained by a recipe on one seed's draws, then evaluated once."""

import itertools
import math
import time
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

EVALUATION_BATCH = 1000
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
    steps = recipe.total_steps(data.train_count)
    optimiser = recipe.make_optimiser(model)
    schedule = LambdaLR(optimiser, lambda step: recipe.schedule(step, steps))
    averaged = None
    if recipe.average_decay is not None:
        averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(recipe.average_decay))
    best_known = model if averaged is None else averaged.module
    epochs = math.ceil(steps / (data.train_count // recipe.batch_size))
    sample = next(data.training_batches(seed, 0, recipe.batch_size))[0]
    done, seconds = 0, 0.0
    for epoch in range(epochs):
        started = time.perf_counter()
        batches = itertools.islice(data.training_batches(seed, epoch, recipe.batch_size), steps - done)
        seen: list[Step] = []
        try:
            for step in train_steps(
                model,
                batches,
                task,
                optimiser,
                schedule,
                recipe.precision,
                recipe.clip_norm,
                after_step=lambda: averaged.update_parameters(model) if averaged is not None else None,
            ):
                seen.append(step)
                logbook.steps()
        except NonFiniteTheta as error:
            raise Diverged(f"diverged at step {done + len(seen)}: {error}") from error
        loss, wrong = (float(torch.stack(values).float().mean()) for values in zip(*seen, strict=True))
        seconds += time.perf_counter() - started
        done += len(seen)
        # the last step's weights have made no loss yet
        finite = all(bool(parameter.isfinite().all()) for parameter in model.parameters())
        if not (finite and math.isfinite(loss)):
            raise Diverged(
                f"diverged between steps {done - len(seen)} and {done}: "
                f"{'weights are not finite' if math.isfinite(loss) else f'the loss is {loss}'}; lower recipe.optimiser.lr, "
                "set recipe.clip_norm=1, or use recipe.precision=fp32"
            )
        numbers = {
            "train/loss": loss,
            "train/error": wrong / recipe.batch_size,
            "train/learning_rate": optimiser.param_groups[0]["lr"],
        }
        if data.evaluated_on == "validation":
            batches_held_out = data.evaluation_batches(EVALUATION_BATCH)
            numbers["validation/error"] = evaluate(best_known, batches_held_out, task, recipe.precision).error
        logbook.scalars(done, numbers)
        logbook.line(_words(epoch, epochs, numbers, done * recipe.batch_size / seconds))
        last = epoch == epochs - 1
        for name, warped in look(best_known, sample, recipe.precision).items():
            logbook.warped(done, name, warped, measure.summary(warped.points))
            if last or epoch % math.ceil(epochs / PICTURES) == 0:
                logbook.picture(done, name, warped)
    evaluation = evaluate(best_known, data.evaluation_batches(EVALUATION_BATCH), task, recipe.precision)
    logbook.scalars(done, {f"{data.evaluated_on}/error": evaluation.error})
    examples = look(best_known, data.examples(), recipe.precision)
    per_epoch = data.train_count // recipe.batch_size
    return Outcome(best_known, evaluation, examples, done, done / per_epoch, done * recipe.batch_size, seconds)


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
