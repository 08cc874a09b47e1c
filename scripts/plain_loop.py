"""How much faster a run is than the loop people write: the same network, fed by a DataLoader.

    python scripts/plain_loop.py RUN_FOLDER [--seconds 20]

Takes the network from the config of a finished run, and trains it, from the same seed, the way the PyTorch tutorial
does: torchvision's RandomRotation on PIL images in a DataLoader with 2 workers, batches of 64, float32, plain
convolutions, plain affine grids, SGD. Times both in turns (A B A B ...) and prints images per second and their ratio.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from stn_bench.cli.build import build
from stn_bench.data.sources import load_mnist
from stn_bench.models.classifiers import ConvolutionStage
from stn_bench.results.record import read_record
from stn_bench.tasks import Classification
from stn_bench.training.allocator import keep_freed_memory
from stn_bench.training.recipe import Recipe
from stn_bench.training.steps import train_steps


class PILDigits(Dataset[tuple[Tensor, int]]):
    """MNIST as most code reads it: one PIL image at a time, rotated, made a tensor."""

    def __init__(self) -> None:
        self.digits = load_mnist()
        self.prepare = transforms.Compose(
            [
                transforms.ToPILImage(),
                transforms.RandomRotation(90, transforms.InterpolationMode.BILINEAR),
                transforms.ToTensor(),
            ]
        )

    def __len__(self) -> int:
        return len(self.digits.train_images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.prepare(self.digits.train_images[index]), int(self.digits.train_labels[index])


def plain_convolutions(model: nn.Module) -> nn.Module:
    """The same network with the library's layers in the place of ours, in its usual layout."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, ConvolutionStage):
                convolution = nn.Conv2d(child.in_channels, child.out_channels, child.kernel_size)  # type: ignore[arg-type]
                convolution.load_state_dict(child.state_dict())
                setattr(module, name, nn.Sequential(convolution, nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True)))
    return model.to(memory_format=torch.contiguous_format)


def plain_loop(config: DictConfig) -> Iterator[int]:
    """Train on batches of 64 from a DataLoader, yielding how many images each step saw."""
    data = build(config.data, "data")
    model = plain_convolutions(build(config.model, "model", image_shape=data.image_shape, classes=data.classes))
    loader = DataLoader(PILDigits(), batch_size=64, shuffle=True, num_workers=2)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01)
    while True:
        for images, labels in loader:
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(images), labels).backward()
            optimiser.step()
            yield len(images)


def our_loop(config: DictConfig) -> Iterator[int]:
    """Train as `stn-train` does, yielding how many images each step saw."""
    keep_freed_memory()
    data = build(config.data, "data")
    model = build(config.model, "model", image_shape=data.image_shape, classes=data.classes)
    recipe: Recipe = build(config.recipe, "recipe")
    optimiser = recipe.make_optimiser(model)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: recipe.schedule(step, 10**6))
    epoch = 0
    while True:
        batches = data.training_batches(config.seed, epoch, recipe.batch_size)
        for _ in train_steps(model, batches, Classification(), optimiser, schedule, recipe.precision, recipe.clip_norm):
            yield recipe.batch_size
        epoch += 1


def speed(steps: Iterator[int], seconds: float) -> float:
    """Images per second over so many seconds, after three steps that are not counted."""
    for _ in range(3):
        next(steps)
    started, images = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        images += next(steps)
    return images / (time.perf_counter() - started)


LOOPS = {"plain": plain_loop, "ours": our_loop}


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path, help="of a finished run, such as outputs/runs/r/cnn_stn-tps/fast/seed1")
    parser.add_argument("--seconds", type=float, default=15, help="of each turn, default %(default)s")
    parser.add_argument("--turns", type=int, default=3, help="of each loop, default %(default)s")
    parser.add_argument("--loop", choices=LOOPS, help="time this loop only, once, and print images per second")
    options = parser.parse_args()
    record = read_record(options.folder / "result.json")
    if options.loop:
        config = OmegaConf.create(record.config)
        assert isinstance(config, DictConfig)
        print(speed(LOOPS[options.loop](config), options.seconds))
        return
    speeds: dict[str, list[float]] = {name: [] for name in LOOPS}
    for _ in range(options.turns):
        for name, measured in speeds.items():  # a process each, so that neither leaves the other anything
            command = [sys.executable, __file__, str(options.folder), "--loop", name, "--seconds", str(options.seconds)]
            measured.append(float(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
        print("  ".join(f"{name} {measured[-1]:,.0f} images/s" for name, measured in speeds.items()), flush=True)
    plain, ours = (statistics.median(measured) for measured in speeds.values())
    print(f"medians on {os.cpu_count()} cores: plain {plain:,.0f}, ours {ours:,.0f}: {ours / plain:.1f} times as fast")
    print(f"the run itself saw {record.images_per_second:,.0f}: {record.images_per_second / plain:.1f} times the plain")


if __name__ == "__main__":
    main()
