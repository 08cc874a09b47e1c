"""Sweeps on a Ray cluster of this machine: killed and failing runs, and what is said of them."""

import os
import re
import signal
from importlib.util import find_spec
from pathlib import Path

import pytest

from stn_bench.results.record import read_record

pytestmark = [
    pytest.mark.engines,
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("ray") is None, reason="not installed: pip install -e '.[ray]'"),
]

RUN = ("recipe=smoke", "model=fcn", "model.units=32", "device=cpu", "hydra/launcher=ray")
LONG = 4000
"""Steps of a run that is still training when a test looks at it."""


def run_folder(seed):
    return Path(f"outputs/runs/r/fcn-plain/smoke/seed{seed}")


def training_worker(seed):
    """The process id of the Ray worker that trains the run of a seed, once one does: it is in the events' names."""
    for events in run_folder(seed).glob("events.out.tfevents.*"):
        return int(events.name.split(".")[-2])
    return None


def verdicts(said):
    """How each run ended, by its seed, as said when it did."""
    return {int(seed): verdict for seed, verdict in re.findall(r"^\[.*\bseed=(\d+).*?  (\w+)", said, re.MULTILINE)}


def test_a_killed_run_of_a_sweep_is_tried_again_and_all_are_done(start, wait_for):
    grids = f"hydra.sweeper.grids=[{{seed:[1,2,3]}},{{seed:[4],recipe.steps:[{LONG}]}}]"
    sweep = start("-m", *RUN, grids)
    worker = wait_for(lambda: training_worker(4))
    os.kill(worker, signal.SIGKILL)
    assert wait_for(lambda: training_worker(4) != worker)
    _, said = sweep.communicate()
    assert (sweep.returncode, verdicts(said)) == (0, dict.fromkeys(range(1, 5), "done")), said
    records = [read_record(run_folder(seed) / "result.json") for seed in range(1, 5)]
    assert records[3].steps == LONG
    assert {record.device.split(" (")[0] for record in records} == {"CPU, 1 thread"}
    assert "Traceback" not in said


def test_runs_that_fail_are_told_and_the_others_done(start, wait_for):
    others = f"{{seed:[3],recipe.batch_size:[60001]}},{{seed:[4],recipe.steps:[{LONG}]}}"
    sweep = start(
        "-m", *RUN, f"hydra.sweeper.grids=[{{seed:[1,2]}},{others}]", "hydra.launcher.ray.remote.max_retries=0"
    )
    os.kill(wait_for(lambda: training_worker(4)), signal.SIGKILL)
    _, said = sweep.communicate()
    assert (sweep.returncode, verdicts(said)) == (1, {1: "done", 2: "done", 3: "FAILED", 4: "FAILED"}), said
    assert "60000 training images do not fill one batch" in said
    assert re.search(r"seed=4 .*FAILED .*worker", said), said
    assert "Traceback" not in said
