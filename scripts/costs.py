"""What training costs: seconds per epoch of each cell of Table 1, and how they grow with batch and canvas.

    python scripts/costs.py [--json FILE]

Each figure is what a few seconds of training (drawing, warping, stepping with recipe `fast`) make of 60,000 images.
The cells are measured one after the other: figures of one run can be compared, those of several only roughly.
"""

import argparse
import itertools
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import measures
import torch
from tabulate import tabulate

from stn_bench.training.allocator import keep_freed_memory

IMAGES = 60_000
DISTORTIONS = ("r", "rts", "p", "e")
CELLS = [("fcn", None), ("cnn", None), *itertools.product(("fcn_stn", "cnn_stn"), ("affine", "projective", "tps"))]
BATCHES = (64, 128, 256, 512, 1024)
CANVASES = (28, 42, 56, 70, 84)
ONE_CELL = ("model=cnn_stn", "transform=affine")


def seconds_per_epoch(*overrides: str, seconds: float = 2.0) -> float:
    """How long the config takes for 60,000 images."""
    cfg = measures.config(*overrides)
    torch.manual_seed(1)
    steps = measures.run_steps(cfg)
    for _ in range(4):
        next(steps)
    started, images = time.perf_counter(), 0
    while (passed := time.perf_counter() - started) < seconds:
        images += next(steps)
    found = IMAGES * passed / images
    print(f"{' '.join(overrides)}: {found:.1f} s", file=sys.stderr, flush=True)
    return found


def cells() -> dict[str, dict[str, float]]:
    """By model and transform, by distortion."""
    return {
        f"{model} {transform or ''}".strip(): {
            data: seconds_per_epoch(
                f"data={data}", f"model={model}", *([f"transform={transform}"] if transform else [])
            )
            for data in DISTORTIONS
        }
        for model, transform in CELLS
    }


def batches() -> dict[int, float]:
    """By batch size, for ST-CNN affine on R."""
    return {size: seconds_per_epoch(*ONE_CELL, f"recipe.batch_size={size}") for size in BATCHES}


def canvases() -> dict[int, float]:
    """By the side of the canvas, for ST-CNN affine on RTS."""
    return {
        side: seconds_per_epoch(
            *ONE_CELL, "data=rts", "data.distortion.max_scale=1", f"data.distortion.output_size=[{side},{side}]"
        )
        for side in CANVASES
    }


GROWTH = {"batch size": "ST-CNN affine on R, batch size", "canvas": "ST-CNN affine on RTS, side of the canvas"}


def tables(found: Mapping[str, Mapping[Any, Any]]) -> str:
    """Three tables in Markdown: of the cells, and of one cell by batch size and by canvas."""
    rows = [[name, *(f"{row[data]:.1f}" for data in DISTORTIONS)] for name, row in found["cells"].items()]
    tables = [(["seconds per epoch", *map(str.upper, DISTORTIONS)], rows)]
    for key, words in GROWTH.items():
        values = [f"{value:.1f}" for value in found[key].values()]
        tables.append(([words, *map(str, found[key])], [["seconds per epoch", *values]]))
    return "\n\n".join(tabulate(body, head, "github", disable_numparse=True) for head, body in tables)


def main() -> None:
    """Measure, print the tables, write them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    options = parser.parse_args()
    keep_freed_memory()
    found = {"cells": cells(), "batch size": batches(), "canvas": canvases()}
    print(tables(found))
    if options.json:
        machine = {"cpu": measures.processor(), "cores": os.cpu_count(), "threads": torch.get_num_threads()}
        measures.write(options.json, machine, {"seconds_per_epoch": found})


if __name__ == "__main__":
    main()
