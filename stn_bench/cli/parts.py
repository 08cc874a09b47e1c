"""What a config describes, built and put on its device."""

from typing import Any, Literal, NamedTuple

import msgspec
import torch
from omegaconf import DictConfig
from torch import nn

from stn_bench.cli.build import ConfigError, build
from stn_bench.cli.device import choose_device, limit_threads
from stn_bench.data.distorted import DistortedDigits
from stn_bench.training.allocator import keep_freed_memory
from stn_bench.training.keeper import Intervals
from stn_bench.training.precision import compute_exactly
from stn_bench.training.recipe import Recipe

NEEDED = (
    *("classes", "image_shape", "train_count", "evaluated_on", "sha256", "to"),
    *("training_batches", "training_epoch", "evaluation_batches", "examples"),
)
"""What training, evaluation and pictures take of data."""
RECORDED = {"train_count": int, "evaluated_on": Literal["test", "validation"], "sha256": str}
"""Of what types those of them are that a run's status and record hold."""


class Parts(NamedTuple):
    """What a config describes, built."""

    device: torch.device
    data: DistortedDigits
    model: nn.Module
    recipe: Recipe
    intervals: Intervals

    @classmethod
    def of(cls, cfg: DictConfig) -> "Parts":
        """Build everything and try out what the run will build anew. Raises UserError for what cannot be built."""
        keep_freed_memory()
        compute_exactly()
        limit_threads()
        device = choose_device(cfg.device)
        if device.type == "cuda" and device.index is not None:
            torch.cuda.set_device(device)  # streams and graphs are of the current one
        intervals = Intervals(cfg.checkpoint.every_minutes, cfg.checkpoint.every_steps)
        torch.manual_seed(cfg.seed)
        data = build_data(cfg).to(device)
        if data is None:
            raise ConfigError("data.to returns nothing: have it return the data, moved to the device")
        model = build(cfg.model, "model", cfg.trusted, image_shape=data.image_shape, classes=data.classes)
        if not isinstance(model, nn.Module):
            raise ConfigError(f"model is no network, it is built to {type(model).__name__}: name a module's class")
        if others := [name for name, value in model.state_dict().items() if not isinstance(value, torch.Tensor)]:
            raise ConfigError(f"model has {others[0]} in its state, which is no tensor to be saved: make it a buffer")
        recipe = build(cfg.recipe, "recipe", cfg.trusted)
        if not isinstance(recipe, Recipe):
            raise ConfigError(f"recipe is none, it is built to {type(recipe).__name__}: has it `defaults: [_recipe]`?")
        model = model.to(device)
        # the run makes its own; these tell whether it can
        recipe.make_schedule(recipe.make_optimiser(model), recipe.total_steps(data.train_count))
        return cls(device, data, model, recipe, intervals)


def build_data(cfg: DictConfig) -> Any:
    """The data that a config describes, on the CPU. Raises UserError for what cannot be built, or are none."""
    data = build(cfg.data, "data", cfg.trusted)
    if lacking := [name for name in NEEDED if not hasattr(data, name)]:
        raise ConfigError(f"data are none, they are built to {type(data).__name__}: no {', '.join(lacking)} in it")
    for name, kind in RECORDED.items():
        value = getattr(data, name)
        try:
            msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            raise ConfigError(f"data.{name}={value!r} does not fit: {error}") from error
    return data
