"""One run: a network trained by a recipe on one seed's draws, then evaluated once."""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from torch import nn

from stn_bench.data.distorted import DistortedDigits
from stn_bench.geometry import measure
from stn_bench.tasks import Classification
from stn_bench.training.capturable import can_be_captured
from stn_bench.training.captured import CapturedSteps
from stn_bench.training.divergence import check_finite, watched
from stn_bench.training.evaluation import Evaluation, Warped, evaluate, look
from stn_bench.training.keeper import Keeper
from stn_bench.training.logbook import Logbook
from stn_bench.training.recipe import Recipe
from stn_bench.training.state import Training
from stn_bench.training.steps import Step, train_steps

EVALUATION_BATCH = {"cpu": 250, "cuda": 2500}
"""By device: few images for a cache, many for a GPU, whose time for a kernel is the host's time to name it."""
PICTURES = 10
"""In how many epochs of a run pictures are drawn."""


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


def run(
    model: nn.Module,
    data: DistortedDigits,
    recipe: Recipe,
    seed: int,
    logbook: Logbook,
    keeper: Keeper | None = None,
    saved: Mapping[str, Any] | None = None,
) -> Outcome:
    """Train `model` on `data`, both on the same device, as `recipe` says; then evaluate once.

    The test digits are looked at after training only. Held-out digits are evaluated after each epoch, too.
    `keeper` saves the training between steps; `saved` is the state to go on from, of a training with the same
    arguments: the outcome is then the same, to the last bit on the same CPU, as if it had never stopped.
    Raises Diverged, NonFiniteTheta where the network is evaluated, CheckpointError, and what a signal noted by the
    keeper raises.
    """
    keeper = keeper or Keeper()
    task = Classification(recipe.label_smoothing)
    training = Training.begin(model, recipe, data.train_count)
    if saved is not None:
        training.load_state_dict(saved)
    epochs = math.ceil(training.steps / training.per_epoch)
    sample = next(data.training_batches(seed, 0, recipe.batch_size))[0]
    steps = _stepper(training, data, task, recipe, seed)
    together = EVALUATION_BATCH[sample.device.type]
    while training.epoch < epochs:
        training.stopwatch.go()
        for step in watched(steps(), training):
            training.seen.append(step)
            logbook.steps()
            keeper.after_step(training, logbook)
        check_finite(training)
        loss, error = training.means()
        training.stopwatch.stop()
        numbers = {"train/loss": loss, "train/error": error, "train/learning_rate": training.last_learning_rate}
        if data.evaluated_on == "validation":
            held_out = data.evaluation_batches(together)
            numbers["validation/error"] = evaluate(training.evaluated_model, held_out, task, recipe.precision).error
        done = training.step
        logbook.scalars(done, numbers)
        speed = done * recipe.batch_size / training.stopwatch.seconds
        logbook.line(_words(training.epoch, epochs, numbers, speed))
        pictured = training.epoch == epochs - 1 or training.epoch % math.ceil(epochs / PICTURES) == 0
        for name, warped in look(training.evaluated_model, sample, recipe.precision).items():
            logbook.warped(done, name, warped, measure.summary(warped.points))
            if pictured:
                logbook.picture(done, name, warped)
        training.next_epoch()
        keeper.report(done, error)
    keeper.save(training, logbook)
    evaluated = keeper.leavable(data.evaluation_batches(together))
    evaluation = evaluate(training.evaluated_model, evaluated, task, recipe.precision)
    if data.evaluated_on == "test":  # held-out digits are told, epoch by epoch
        logbook.scalars(training.step, {"test/error": evaluation.error})
    return Outcome(
        training.evaluated_model,
        evaluation,
        look(training.evaluated_model, data.examples(), recipe.precision),
        training.step,
        training.step / training.per_epoch,
        training.step * recipe.batch_size,
        training.stopwatch.seconds,
    )


def _stepper(
    training: Training, data: DistortedDigits, task: Classification, recipe: Recipe, seed: int
) -> Callable[[], Iterator[Step]]:
    """Makes the steps that are left of the training's epoch: captured on a GPU, else one by one."""
    captured = None
    if next(training.model.parameters()).device.type == "cuda" and can_be_captured(training.optimiser):
        captured = CapturedSteps(training, task, recipe)

    def steps() -> Iterator[Step]:
        first, left = len(training.seen), training.steps - training.step
        if captured is not None:
            return captured.epoch(*data.training_epoch(seed, training.epoch), first, left)
        batches = data.training_batches(seed, training.epoch, recipe.batch_size, first)
        return train_steps(
            training.model,
            itertools.islice(batches, left),
            task,
            training.optimiser,
            training.schedule,
            recipe.precision,
            recipe.clip_norm,
            training.average,
        )

    return steps


def _words(epoch: int, epochs: int, numbers: dict[str, float], speed: float) -> str:
    text = f"epoch {epoch + 1:>{len(str(epochs))}}/{epochs}  loss {numbers['train/loss']:.4f}"
    text += f"  train error {100 * numbers['train/error']:5.2f} %"
    if "validation/error" in numbers:
        text += f"  validation error {100 * numbers['validation/error']:5.2f} %"
    return f"{text}  {speed:,.0f} images/s"
