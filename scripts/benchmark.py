"""How fast the parts of a run are, beside what most people write and beside what the machine allows.

    python scripts/benchmark.py [--rows WORD ...] [--json FILE]

Every comparison is made in turns (A B A B A B), each side in a process of its own that is kept between its turns;
printed are medians and their ratio. Only ratios hold: machines differ, and so does one machine from hour to hour.
"""

import argparse
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from unittest.mock import patch

import measures
import torch
from benchmark_table import Row, table
from command_use import run
from turns import TURNS, Contestant, in_turns

from stn_bench.training.precision import multiplies_bfloat16


def distortions() -> Iterator[Row]:
    """Drawing and warping, against torchvision's transforms in a DataLoader."""
    with Contestant("loaders") as theirs, Contestant("drawings") as ours:
        for name in ("r", "rts", "p", "e"):
            speed = in_turns({"plain": (theirs, name), "ours": (ours, name)}, 0.7)
            ratio = speed["ours"] / speed["plain"]
            yield Row(f"draw and warp {name.upper()}", "images/s", speed["ours"], speed["plain"], ratio, 15)


def training() -> Iterator[Row]:
    """Training end to end, against the plain loop."""
    cells = {"ST-CNN affine": "cnn_stn", "FCN": "fcn", "ST-FCN affine": "fcn_stn"}
    with (
        Contestant("plain_loops", "r", *cells.values()) as theirs,
        Contestant("our_loops", "r", *cells.values()) as ours,
    ):
        for words, model in cells.items():
            other = "fp32" if model == "cnn_stn" else "adamw"
            sides = {"plain": (theirs, model), **{way: (ours, f"{model} {way}") for way in ("fast", other)}}
            speed = in_turns(sides, 1.2)
            for way, words_too in {"fast": "", "fp32": ", in fp32", "adamw": ", by AdamW"}.items():
                if way in speed:
                    target = 2.5 if way == "fp32" else 6
                    what = f"train {words} on R{words_too}"
                    yield Row(what, "images/s", speed[way], speed["plain"], speed[way] / speed["plain"], target)


def steps() -> Iterator[Row]:
    """A step's arithmetic against a large matrix product's, and a transformer's step against its classifier's.

    In float32, and in bfloat16 where the processor has it: elsewhere no recipe uses it.
    """
    for precision in ("bf16", "fp32") if multiplies_bfloat16(torch.device("cpu")) else ("fp32",):
        for side in (28, 42):
            with Contestant("steps", str(side), precision) as ours:
                names = ("product", "cnn", "classifier", "affine", "projective", "tps")
                speed = in_turns({name: (ours, name) for name in names}, 0.3)
            flop = measures.step_flop(side)
            place = f"{side}x{side}, {precision}"
            for name, words in {"cnn": "CNN", "affine": "ST-CNN affine"}.items():
                done = flop[name] * speed[name] / 1e9
                bound = speed["product"]
                yield Row(f"arithmetic of a step of {words}, {place}", "GFLOP/s", done, bound, done / bound, 0.5)
            for name in ("affine", "projective", "tps"):
                ours_ms, alone_ms = 1000 / speed[name], 1000 / speed["classifier"]
                limit = 1.2 if name == "tps" else 1.15
                what = f"step of ST-CNN {name} beside its classifier alone, {place}"
                yield Row(what, "ms", ours_ms, alone_ms, ours_ms / alone_ms, limit, at_most=True)


def splines() -> Iterator[Row]:
    """Thin-plate points from theta, against solving each image's system."""
    with Contestant("splines") as ours:
        speed = in_turns({name: (ours, name) for name in ("solved", "ours")}, 1.0)
    ratio = speed["ours"] / speed["solved"]
    yield Row("thin-plate points from theta, 28x28", "images/s", speed["ours"], speed["solved"], ratio, 50)


def sweeps() -> Iterator[Row]:
    """Two cells through a sweep, a core each, against one after the other, all cores each."""
    command = ["model=cnn_stn", "transform=affine", "seed=1,2", "recipe.epochs=null", "recipe.steps=80"]
    command += ["data.validation=1000", "-m"]  # evaluated on a tenth of the digits: it is about training
    seconds: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(2):  # long enough that the start, which two cores always share well, is a fraction of it
        for jobs, seen in seconds.items():
            seen.append(run(*command, f"hydra.launcher.jobs={jobs}").seconds)
    alone, together = (statistics.median(seen) for seen in seconds.values())
    yield Row("two cells side by side in a sweep", "s", together, alone, alone / together, 1.15)


def commands() -> Iterator[Row]:
    """What one waits for, and the memory of one run."""
    help_seconds = statistics.median(run("--help").seconds for _ in range(TURNS))
    yield Row("stn-train --help", "s", help_seconds, None, help_seconds, 0.6, at_most=True)
    short = ("recipe.epochs=null", "recipe.steps=1")
    first = statistics.median(run("data=r", *short, until="epoch").seconds for _ in range(TURNS))
    yield Row("start of a run to its first step", "s", first, None, first, 6, at_most=True)
    st_cnn = ("model=cnn_stn", "transform=tps")
    largest = {"r": st_cnn, "rts": ("model=cnn",), "p": st_cnn, "e": st_cnn}
    # two at once: their threads share the cores, and this is not about time
    with ThreadPoolExecutor(2) as pool, patch.dict(os.environ, OMP_WAIT_POLICY="passive"):
        used = list(pool.map(lambda name: run(f"data={name}", *largest[name], "recipe=smoke"), largest))
    for name, memory in zip(largest, (one.gibibytes for one in used), strict=True):
        limit = 1.6 if name == "rts" else 1.2
        yield Row(f"peak memory of a run on {name.upper()}", "GiB", memory, None, memory, limit, at_most=True)


PARTS: dict[str, Callable[[], Iterator[Row]]] = {
    part.__name__: part for part in (distortions, training, steps, splines, sweeps, commands)
}


def main() -> None:
    """Measure, print the table, write it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rows", nargs="+", choices=PARTS, default=list(PARTS), help="which parts; default: all")
    parser.add_argument("--json", type=Path, help="file to write the rows to")
    options = parser.parse_args()
    started, rows = time.perf_counter(), []
    for part in options.rows:
        for row in PARTS[part]():
            rows.append(row)
            print(f"{time.perf_counter() - started:3.0f} s  {row.what}: {row.figure:.3g}", file=sys.stderr, flush=True)
    print(table(rows))
    if options.json:
        machine = {"cpu": measures.processor(), "cores": os.cpu_count(), "python": platform.python_version()}
        found = {
            "seconds": round(time.perf_counter() - started),
            "rows": [asdict(row) | {"met": row.met} for row in rows],
        }
        measures.write(options.json, machine, found)


if __name__ == "__main__":
    main()
