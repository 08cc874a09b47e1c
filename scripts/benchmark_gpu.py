"""How fast training is on a GPU: steps taken one by one, captured as a CUDA graph, several networks in one graph.

    python scripts/benchmark_gpu.py [--json FILE]

Recipe `fast` from end to end, the drawing and warping of digits included. All sides of a line are measured in turns
(A B C A B C), in one process; printed are medians.
"""

import argparse
import itertools
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import measures
import torch
from tabulate import tabulate

from stn_bench.cli.build import build
from stn_bench.data.distorted import DistortedDigits
from stn_bench.tasks import Classification
from stn_bench.training.captured import WARM_UP, CapturedSteps
from stn_bench.training.precision import compute_exactly
from stn_bench.training.recipe import Recipe
from stn_bench.training.state import Training
from stn_bench.training.steps import train_steps

CELLS = {
    f"{words}, {place}": (f"model={model}", f"data={data}")
    for data, place in {"r": "28x28", "rts": "42x42"}.items()
    for words, model in {"FCN": "fcn", "CNN": "cnn", "ST-CNN affine": "cnn_stn"}.items()
}
TURNS = 3
SECONDS = 0.3
SEEDS = 3


def begin(seed: int, *cell: str) -> tuple[Training, DistortedDigits, Recipe]:
    """A training at its start, on the GPU."""
    cfg = measures.config(*cell)
    torch.manual_seed(seed)
    data = build(cfg.data, "data").to("cuda")
    model = build(cfg.model, "model", image_shape=data.image_shape, classes=data.classes).to("cuda")
    recipe = build(cfg.recipe, "recipe")
    return Training.begin(model, recipe, data.train_count), data, recipe


def one_by_one(*cell: str) -> Iterator[int]:
    """Images trained on without a graph, without end."""
    training, data, recipe = begin(1, *cell)
    batches = measures.without_end(data, recipe.batch_size)
    settings = (training.optimiser, training.schedule, recipe.precision, recipe.clip_norm)
    for _ in train_steps(training.model, batches, Classification(recipe.label_smoothing), *settings):
        yield recipe.batch_size


def captured(*cell: str) -> Iterator[int]:
    """Images trained on as a run does, without end."""
    training, data, recipe = begin(1, *cell)
    steps = CapturedSteps(training, Classification(recipe.label_smoothing), recipe)
    for epoch in range(10**6):
        for _ in steps.epoch(*data.training_epoch(1, epoch), 0, training.per_epoch):
            yield recipe.batch_size


def together(*cell: str) -> Iterator[int]:
    """Images that SEEDS networks train on in one graph, each on a stream of its own, without end."""
    trainings = [begin(seed, *cell) for seed in range(1, SEEDS + 1)]
    all_steps = [
        CapturedSteps(training, Classification(recipe.label_smoothing), recipe) for training, _, recipe in trainings
    ]
    data, recipe = trainings[0][1:]
    for steps in all_steps:
        list(itertools.islice(steps.epoch(*data.training_epoch(1, 0), 0, recipe.batch_size), WARM_UP))
    graph, streams = torch.cuda.CUDAGraph(), [torch.cuda.Stream() for _ in all_steps]
    with torch.cuda.graph(graph):
        main = torch.cuda.current_stream()
        for steps, stream in zip(all_steps, streams, strict=True):
            stream.wait_stream(main)
            with torch.cuda.stream(stream):
                steps.take()
        for stream in streams:  # only now, or the branches would wait for one another
            main.wait_stream(stream)
    for epoch in range(1, 10**6):
        for seed, steps in enumerate(all_steps):
            steps.start(*data.training_epoch(seed, epoch), 0)
        for _ in range(trainings[0][0].per_epoch):
            graph.replay()
            yield SEEDS * recipe.batch_size


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows in Markdown, with how many times as fast a captured step is."""
    sides = [side for side in SIDES if side in rows[0]]
    lines = [
        [row["what"], *(f"{row[side]:,}" for side in sides), f"{row['captured'] / row['one by one']:.1f}x"]
        for row in rows
    ]
    return tabulate(lines, ["images/s", *sides, "captured / one by one"], "github", disable_numparse=True)


def speed(images: Iterator[int]) -> float:
    """Images a second."""
    next(images)
    torch.cuda.synchronize()
    done, started = 0, time.perf_counter()
    while time.perf_counter() - started < SECONDS:
        done += sum(itertools.islice(images, 20))
        torch.cuda.synchronize()
    return done / (time.perf_counter() - started)


SIDES: dict[str, Callable[..., Iterator[int]]] = {
    "one by one": one_by_one,
    "captured": captured,
    f"{SEEDS} seeds in one graph": together,
}


def main() -> None:
    """Measure, print the table, write it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit(f"benchmark_gpu.py: torch {torch.__version__} sees no GPU here")
    compute_exactly()
    rows = []
    for words, cell in CELLS.items():
        running = {side: make(*cell) for side, make in SIDES.items()}
        for images in running.values():
            sum(itertools.islice(images, 10))
        seen: dict[str, list[float]] = {side: [] for side in SIDES}
        for _ in range(TURNS):
            for side, images in running.items():
                seen[side].append(speed(images))
        rows.append({"what": words} | {side: round(statistics.median(speeds)) for side, speeds in seen.items()})
        print(rows[-1], file=sys.stderr, flush=True)
    print(table(rows))
    if options.json:
        machine = {"gpu": torch.cuda.get_device_name(), "python": platform.python_version()}
        measures.write(options.json, machine, {"rows": rows}, cuda=torch.version.cuda)


if __name__ == "__main__":
    main()
