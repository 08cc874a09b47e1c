"""What the benchmark measures: endless generators, each step of which tells how many units it did."""

import datetime
import itertools
import json
import platform
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import plain
import torch
from hydra import compose, initialize_config_module
from omegaconf import DictConfig
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from stn_bench import schema
from stn_bench.cli.build import build
from stn_bench.geometry import pixel_grid, thin_plate
from stn_bench.models import CNN
from stn_bench.tasks import Classification
from stn_bench.training.allocator import keep_freed_memory
from stn_bench.training.steps import train_steps
from stn_bench.transforms import ThinPlateSpline

Measures = Mapping[str, Iterator[float]]
BATCH = 256
SIZE = 3072
"""Rows and columns of the large matrix product."""


def loaders() -> Measures:
    """Images from a DataLoader, by distortion."""
    return {name: (len(labels) for _, labels in plain.batches(name)) for name in plain.DISTORTIONS}


def drawings() -> Measures:
    """Images as a run draws them, by distortion."""
    keep_freed_memory()

    def drawn(name: str) -> Iterator[int]:
        data = build(config(f"data={name}").data, "data")
        yield from (len(labels) for _, labels in without_end(data, BATCH))

    return {name: drawn(name) for name in plain.DISTORTIONS}


def plain_loops(distortion: str, *models: str) -> Measures:
    """Images trained on in the loop that most people write, by model."""

    def loop(model: str) -> Iterator[int]:
        cfg = config(f"model={model}", f"data={distortion}")
        data = build(cfg.data, "data")
        made = build(cfg.model, "model", image_shape=data.image_shape, classes=data.classes)
        yield from plain.loop(made, distortion)

    return {model: loop(model) for model in models}


def our_loops(distortion: str, *models: str) -> Measures:
    """Images trained on as a run does, by model and how: by recipe `fast`, in single precision too, by AdamW too."""
    keep_freed_memory()
    ways = {"fast": [], "fp32": ["recipe.precision=fp32"], "adamw": ["recipe/optimiser=adamw"]}
    return {
        f"{model} {way}": run_steps(config(f"model={model}", f"data={distortion}", *words))
        for model in models
        for way, words in ways.items()
    }


def run_steps(cfg: DictConfig) -> Iterator[int]:
    """Images trained on as a run of this config does, without end."""
    data = build(cfg.data, "data")
    model = build(cfg.model, "model", image_shape=data.image_shape, classes=data.classes)
    yield from train(cfg, model, without_end(data, cfg.recipe.batch_size))


def steps(side: str, precision: str) -> Measures:
    """Steps on a batch at hand, of the CNN, of ST-CNNs and of their classifier alone; and a large matrix product."""
    keep_freed_memory()
    shape = (1, int(side), int(side))
    batch = torch.rand(BATCH, *shape), torch.randint(10, (BATCH,))
    cfg = config(f"recipe.precision={precision}")
    transformed = {
        transform: build(config(f"transform={transform}").model, "model", image_shape=shape, classes=10)
        for transform in ("affine", "projective", "tps")
    }
    networks: dict[str, nn.Module] = {"cnn": CNN(shape, 10), **transformed}
    with torch.no_grad():
        seen = transformed["affine"].pool(transformed["affine"].transformer(batch[0])), batch[1]
    networks["classifier"] = CNN(tuple(seen[0].shape[1:]), 10, filters=transformed["affine"].width)
    made: dict[str, Iterator[float]] = {
        name: (1 for _ in train(cfg, network, itertools.repeat(seen if name == "classifier" else batch)))
        for name, network in networks.items()
    }
    made["product"] = product(torch.bfloat16 if precision == "bf16" else torch.float32)
    return made


def step_flop(side: int) -> dict[str, int]:
    """The arithmetic of a step of the plain CNN and ST-CNN: what their layers need, however they are computed."""
    found = {}
    for name, choices in {"cnn": ["model=cnn"], "affine": ["model=cnn_stn"]}.items():
        model = build(config(*choices).model, "model", image_shape=(1, side, side), classes=10)
        with FlopCounterMode(display=False) as counter:
            logits = plain.network(model)(torch.rand(1, 1, side, side))
            nn.functional.cross_entropy(logits, torch.zeros(1, dtype=torch.long)).backward()
        found[name] = BATCH * counter.get_total_flops()  # all of it is done for each image
    return found


def splines() -> Measures:
    """Points of thin-plate splines: from the constant matrix, and by solving each image's system."""
    transform = ThinPlateSpline()
    grid = pixel_grid(28, 28)
    basis = transform.basis(grid)
    theta = transform.identity() + 0.1 * torch.randn(BATCH, transform.num_params)
    controls = transform.controls.float()[None]

    def ours() -> Iterator[int]:
        while True:
            transform.warp(theta, basis)
            yield BATCH

    def solved() -> Iterator[int]:
        while True:
            for one in theta:
                weights = thin_plate.solve(controls, one.view(1, -1, 2))
                thin_plate.evaluate(weights, controls, grid)
            yield BATCH

    return {"ours": ours(), "solved": solved()}


def product(dtype: torch.dtype) -> Iterator[float]:
    """GFLOP of a large matrix product: what the machine allows."""
    left, right = torch.randn(2, SIZE, SIZE).to(dtype)
    while True:
        left @ right
        yield 2 * SIZE**3 / 1e9


def train(cfg: DictConfig, model: nn.Module, batches: Iterator[tuple[Tensor, Tensor]]) -> Iterator[int]:
    """Images trained on with a config's recipe."""
    recipe = build(cfg.recipe, "recipe")
    optimiser = recipe.make_optimiser(model)
    schedule = recipe.make_schedule(optimiser, 10**6)
    for _ in train_steps(model, batches, Classification(), optimiser, schedule, recipe.precision, recipe.clip_norm):
        yield recipe.batch_size


def without_end(data: Any, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """The batches of one epoch after the other."""
    for epoch in itertools.count():
        yield from data.training_batches(1, epoch, batch_size)


def config(*overrides: str) -> DictConfig:
    """The config that `stn-train` would build."""
    schema.register()
    with initialize_config_module("stn_bench.configs", version_base="1.3"):
        return compose("train", list(overrides))


def processor() -> str:
    """The processor's name and the instructions that torch found: "AMD EPYC, AVX2"."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {torch.backends.cpu.get_cpu_capability()}"


def versions() -> dict[str, str]:
    """What was measured, and with what."""
    return {name: version(name) for name in ("stn-bench", "torch", "torchvision")}


def write(path: Path, machine: Mapping[str, Any], found: Mapping[str, Any], **libraries: str | None) -> None:
    """Write what was found as JSON, after the command that found it, where, with what versions, and when."""
    record = {
        "command": " ".join(["python", f"scripts/{Path(sys.argv[0]).name}", *sys.argv[1:]]),
        "machine": machine,
        "versions": versions() | libraries,
        "measured_at": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        **found,
    }
    path.write_text(json.dumps(record, indent=1) + "\n")
