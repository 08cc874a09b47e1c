"""What a training consists of between two steps: everything that the steps to come depend on, and where they are."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from stn_bench.training.capturable import settle
from stn_bench.training.checkpoint import CheckpointError
from stn_bench.training.recipe import Recipe
from stn_bench.training.steps import Step


class Stopwatch:
    """Seconds of training; it stands still while something else is done."""

    def __init__(self) -> None:
        self._before = 0.0
        self._since: float | None = None

    @property
    def seconds(self) -> float:
        """Counted so far."""
        return self._before + (0.0 if self._since is None else time.perf_counter() - self._since)

    def go(self) -> None:
        """Count from now on."""
        self._since = time.perf_counter()

    def stop(self) -> None:
        """Count no longer."""
        self.set(self.seconds)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stand still while the context is open, and go on after it if it went before."""
        went = self._since is not None
        self.stop()
        yield
        if went:
            self.go()

    def set(self, seconds: float) -> None:
        """Stand still at so many seconds."""
        self._before, self._since = seconds, None


@dataclass
class Training:
    """A network with what trains it, and the place in the epochs: `epoch` ended, of the next one `seen` are done.

    Data are not part of it: they are drawn from seed and epoch alone (`stn_bench.data.streams`).
    """

    model: nn.Module
    optimiser: Optimizer
    schedule: LambdaLR
    averaged: AveragedModel | None
    steps: int
    """How many there are in the run, and, of them, `per_epoch` in an epoch; the last epoch can be a part of one."""
    per_epoch: int
    batch_size: int
    epoch: int = 0
    seen: list[Step] = field(default_factory=list)
    stopwatch: Stopwatch = field(default_factory=Stopwatch)

    @classmethod
    def begin(cls, model: nn.Module, recipe: Recipe, train_count: int) -> "Training":
        """Before the first step. Raises RecipeError as the recipe does."""
        steps = recipe.total_steps(train_count)
        optimiser = recipe.make_optimiser(model)
        schedule = recipe.make_schedule(optimiser, steps)
        settle(optimiser, next(model.parameters()).device)
        averaged = None
        if recipe.average_decay is not None:
            averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(recipe.average_decay))
        return cls(model, optimiser, schedule, averaged, steps, train_count // recipe.batch_size, recipe.batch_size)

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.model.parameters()).device

    @property
    def step(self) -> int:
        """How many steps are done."""
        return min(self.steps_before_epoch + len(self.seen), self.steps)

    @property
    def steps_before_epoch(self) -> int:
        """How many of them are in epochs that ended."""
        return min(self.epoch * self.per_epoch, self.steps)

    @property
    def last_learning_rate(self) -> float:
        """That of the first group of parameters in the step taken last."""
        return float(self.schedule.base_lrs[0] * self.schedule.lr_lambdas[0](max(self.step - 1, 0)))

    @property
    def evaluated_model(self) -> nn.Module:
        """The network to evaluate: with averaged weights where the recipe averages."""
        return self.model if self.averaged is None else self.averaged.module

    def means(self) -> tuple[float, float]:
        """The mean loss and the share of images classified wrongly in this epoch so far, of one step or more.

        Waits for a GPU.
        """
        loss, wrong = (float(torch.stack(values).float().mean()) for values in zip(*self.seen, strict=True))
        return loss, wrong / self.batch_size

    def average(self) -> None:
        """Let the averaged weights follow the last step."""
        if self.averaged is not None:
            self.averaged.update_parameters(self.model)

    def next_epoch(self) -> None:
        """Begin the next epoch."""
        self.epoch += 1
        self.seen = []

    def state_dict(self) -> dict[str, Any]:
        """Everything as plain data: tensors, numbers, words, and lists and mappings of them."""
        return {
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "averaged": None if self.averaged is None else self.averaged.state_dict(),
            "epoch": self.epoch,
            "losses": torch.stack([step.loss for step in self.seen]).cpu() if self.seen else torch.empty(0),
            "errors": torch.stack([step.errors for step in self.seen]).cpu() if self.seen else torch.empty(0),
            "seconds": self.stopwatch.seconds,
            "random": torch.get_rng_state(),  # what a layer of the user's may draw from, dropout say
            "random_cuda": [torch.cuda.get_rng_state(self.device)] if self.device.type == "cuda" else [],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Stand where `state_dict` was taken. Raises CheckpointError for a state that does not fit."""
        try:
            self._load(state)
        except (KeyError, TypeError, AttributeError, RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise CheckpointError(
                f"the saved state does not fit this run, which another version of the code may have begun ({reason}); "
                "delete the run folder to start over, or go on with the version that began it"
            ) from error

    def _load(self, state: Mapping[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        if self.averaged is not None:
            self.averaged.load_state_dict(state["averaged"])
        self.epoch = state["epoch"]
        settle(self.optimiser, self.device)
        self.seen = list(map(Step, state["losses"].to(self.device), state["errors"].to(self.device)))
        self.stopwatch.set(state["seconds"])
        torch.set_rng_state(state["random"])
        if self.device.type == "cuda" and state["random_cuda"]:
            states = state["random_cuda"]  # of older checkpoints: one of each GPU
            torch.cuda.set_rng_state(states[min(self.device.index or 0, len(states) - 1)], self.device)
