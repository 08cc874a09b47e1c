"""Kill runs of stn-train at random moments, type the command again, and compare with a run that nobody killed.

    OMP_NUM_THREADS=1 python scripts/kill_runs.py                # 60 runs, and a kill at each moment of a save
    OMP_NUM_THREADS=1 python scripts/kill_runs.py --runs 4 --seed 7

Each run is killed with SIGKILL one to four times, each time at a moment drawn uniformly from what a whole run takes,
then left alone until it ends. Weights, predictions, record (but for its times), metrics and TensorBoard curves must
then equal those of the uninterrupted run bit for bit, and no file may be torn at any time.

Importing torch takes longer than these runs do. So this process imports it once and forks an attempt for each time the
command would be typed; the child calls the command's own `main` with its words. That is the same as a new process as
far as a run can tell: this process does nothing but import, and so has no thread, no open file and no random state that
a run uses; what the run's process leaves is on the disk only, as SIGKILL gives it no chance for anything else. The
forked runs see the first few digits of MNIST, so that a run has several epochs. `--commands` runs go through the
command itself, on all digits.

The second part kills a run at each step of its third save of a checkpoint: before and after every call that reaches the
operating system, and in the middle of the write.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch._dynamo  # optimisers import it when the first one is made
from hydra.core.plugins import Plugins
from run_comparison import differences, torn_files
from save_killer import strike_in_save

import stn_bench.cli.job  # noqa: F401  what the command imports when it starts a run: here, once for all children
from stn_bench.cli.train import main as stn_train
from stn_bench.data import distorted
from stn_bench.data.mnist import MNIST
from stn_bench.data.sources import load_mnist

SHORT = ["recipe=smoke", "recipe.batch_size=64", "device=cpu"]
CELLS = [  # an epoch has 20 steps or so
    ["model=fcn", "model.units=32", "recipe.precision=fp32", "recipe.steps=150"],
    ["model=fcn", "model.units=32", "recipe.average_decay=0.9", "data=e", "recipe.steps=90"],
    ["model=fcn_stn", "model.classifier.units=32", "transform=affine", "recipe.average_decay=0.9", "recipe.steps=70"],
    [
        "model=fcn_stn",
        "transform=projective",
        "recipe.precision=fp32",
        "recipe/optimiser=sgd",
        "recipe.optimiser.lr=0.01",
        "recipe.steps=70",
    ],
    ["model=cnn", "model.parameters_budget=20000", "recipe.steps=50"],
    [
        "model=cnn",
        "model.parameters_budget=20000",
        "recipe.steps=50",
        "recipe.precision=fp32",
        "recipe.average_decay=0.9",
    ],
    ["model=cnn_stn", "transform=tps", "model.parameters_budget=40000", "recipe.steps=35", "recipe.average_decay=0.5"],
    [
        "model=cnn_stn",
        "transform=tps",
        "model.parameters_budget=40000",
        "recipe.steps=35",
        "recipe.precision=fp32",
        "data.validation=200",
    ],
]
ON_ALL_DIGITS = [*SHORT, "recipe.steps=60", "data.validation=500", "model=fcn_stn", "recipe.average_decay=0.9"]


def main() -> None:
    """Both parts. Exits with 1 where a run differs or a file is torn."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--runs", type=int, default=60, help="runs killed at random moments, default %(default)s")
    parser.add_argument("--commands", type=int, default=4, help="of them through the command, default %(default)s")
    parser.add_argument("--seed", type=int, default=None, help="of the moments; default: drawn, and printed")
    options = parser.parse_args()
    seed = random.SystemRandom().randrange(10**6) if options.seed is None else options.seed
    print(f"--seed {seed}")
    torch.set_num_threads(1)
    Plugins.instance()  # imports what Hydra finds
    digits = load_mnist()
    few = MNIST(
        *(array[:count] for array, count in zip(digits[:4], (1500, 1500, 300, 300), strict=True)), "first digits"
    )
    del digits
    distorted.load_mnist = lambda folder=None: few
    with tempfile.TemporaryDirectory() as scratch:
        good = kill_at_random(Path(scratch, "random"), options.runs, options.commands, random.Random(seed))
        good &= kill_in_each_step_of_a_save(Path(scratch, "saves"))
    sys.exit(0 if good else 1)


def kill_at_random(scratch: Path, runs: int, commands: int, dice: random.Random) -> bool:
    """The first part."""
    wholes: dict[tuple[str, ...], tuple[Path, float]] = {}
    same = torn = kills = resumed = 0
    for number in range(runs):
        by_command = number < commands
        words = ON_ALL_DIGITS if by_command else [*SHORT, *CELLS[number % len(CELLS)]]
        begin = typed if by_command else forked
        if tuple(words) not in wholes:
            started = time.monotonic()
            folder = scratch / f"whole{len(wholes)}"
            finish(begin([*words, f"output={folder}"]))
            wholes[tuple(words)] = folder, time.monotonic() - started
        whole, seconds = wholes[tuple(words)]
        folder = scratch / f"run{number}"
        every = dice.choice([2, 5, 11, 25])
        again = [*words, f"output={folder}", f"checkpoint.every_steps={every}"]
        moments = [dice.uniform(0, seconds) for _ in range(dice.randint(1, 4))]
        for moment in moments:
            process = begin(again)
            time.sleep(moment)
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            torn += len(torn_files(folder))
            resumed += any(folder.rglob("checkpoint-*"))
        finish(begin(again))
        torn += len(torn_files(folder))
        kills += len(moments)
        differing = differences(whole, folder)
        same += not differing
        told = ", ".join(differing) or "identical"
        killed = " ".join(f"{moment:.2f}" for moment in moments)
        print(
            f"{number + 1:3} {' '.join(words[3:])}: saved every {every} steps, killed at {killed} s: {told}", flush=True
        )
    print(f"{same} of {runs} identical, {torn} torn files")
    print(f"{kills} kills, after {resumed} of which there was a checkpoint to go on from")
    return same == runs and torn == 0


def kill_in_each_step_of_a_save(scratch: Path) -> bool:
    """The second part."""
    words = [
        *SHORT,
        "model=fcn",  # draws no pictures, which would take longer than the rest
        "model.units=16",
        "recipe.average_decay=0.9",
        "recipe.steps=30",
        "checkpoint.every_steps=6",
    ]
    whole = scratch / "whole"
    names = scratch / "names"
    scratch.mkdir(parents=True)
    finish(forked([*words, f"output={whole}"], lambda: strike_in_save(0, names)))
    steps = names.read_text().split("\n")[:-1]
    same = torn = 0
    for number, name in enumerate(steps, 1):
        folder = scratch / f"run{number}"
        process = forked([*words, f"output={folder}"], lambda number=number: strike_in_save(number, names))
        killed = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == -signal.SIGKILL
        torn += len(torn_files(folder))
        finish(forked([*words, f"output={folder}"]))
        torn += len(torn_files(folder))
        differing = differences(whole, folder) if killed else ["was not killed"]
        same += not differing
        print(f"{number:3} killed {name}: {', '.join(differing) or 'identical'}", flush=True)
    print(f"{same} of {len(steps)} identical, {torn} torn files")
    return same == len(steps) > 0 and torn == 0


def typed(words: list[str]) -> int:
    """Start the command in a process of its own."""
    command = str(Path(sys.executable).with_name("stn-train"))
    return subprocess.Popen([command, *words], stderr=subprocess.DEVNULL).pid


def forked(words: list[str], prepare: Callable[[], None] = lambda: None) -> int:
    """Start the command in a child of this process."""
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        sys.argv = ["stn-train", *words]
        prepare()
        stn_train()
        code = 0
    finally:
        os._exit(code)


def finish(process: int) -> None:
    """Wait for a process that must end well."""
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    if code:
        sys.exit(f"a run that was left alone ended with {code}")


if __name__ == "__main__":
    main()
