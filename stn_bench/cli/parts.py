"""What a config describes, built and put on its device."""

import logging
import os
import platform
from typing import Any, Literal, NamedTuple

import msgspec
import torch
from omegaconf import DictConfig
from torch import nn

from hydra_plugins.stn_local_launcher._slots import usable_cores
from stn_bench.cli.build import ConfigError, build
from stn_bench.cli.faults import is_out_of_memory
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

log = logging.getLogger(__name__)


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
        data = _checked(build(cfg.data, "data", cfg.trusted)).to(device)
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


def limit_threads() -> None:
    """Have no more threads than cores: torch knows nothing of the share of them that a container may use."""
    if "OMP_NUM_THREADS" not in os.environ and usable_cores() < torch.get_num_threads():
        torch.set_num_threads(usable_cores())


def _checked(data: Any) -> Any:
    if lacking := [name for name in NEEDED if not hasattr(data, name)]:
        raise ConfigError(f"data are none, they are built to {type(data).__name__}: no {', '.join(lacking)} in it")
    for name, kind in RECORDED.items():
        value = getattr(data, name)
        try:
            msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            raise ConfigError(f"data.{name}={value!r} does not fit: {error}") from error
    return data


def choose_device(name: str) -> torch.device:
    """The device that `device=auto|cpu|cuda|cuda:N` means; where torch cannot compute on the GPU, auto means the CPU.

    Raises ConfigError for one that is not there, or that torch cannot compute on.
    """
    if name == "auto":
        fastest = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        if why := _refusal(fastest):
            log.warning("torch %s cannot compute on the GPU here (%s): the CPU is taken", torch.__version__, why)
            return torch.device("cpu")
        return fastest
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise ConfigError(f"device={name} is not known: use auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"device={name}, but torch {torch.__version__} sees no GPU here: use device=cpu or auto")
    if device.type == "cuda" and (device.index or 0) >= (count := torch.cuda.device_count()):
        raise ConfigError(f"device={name}, but GPUs here are cuda:0 to cuda:{count - 1}")
    if why := _refusal(device):
        raise ConfigError(
            f"device={name}, but torch {torch.__version__} cannot compute on it ({why}): use device=cpu, or install a "
            "torch that is built for this GPU"
        )
    return device


def _refusal(device: torch.device) -> str | None:
    """Why nothing can be computed on a device, as on a GPU that torch has no kernels for; None if it can."""
    try:
        torch.zeros(1, device=device).add(1).item()  # which waits for it
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise
        return str(error).partition("\n")[0]
    return None


def describe(device: torch.device) -> str:
    """A device in words: a GPU's name, or threads, architecture and the instructions that torch found."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    kind = f"{platform.machine()}, {torch.backends.cpu.get_cpu_capability()}"
    return f"CPU, {threads} thread{'s' if threads > 1 else ''} ({kind})"
