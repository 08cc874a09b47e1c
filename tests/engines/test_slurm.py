"""Sweeps on a real Slurm of one node: killed, preempted and failing runs, and what is said of them."""

import re
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from stn_bench.results.record import read_record

pytestmark = [
    pytest.mark.engines,
    pytest.mark.skipif(
        find_spec("hydra_plugins.hydra_submitit_launcher") is None,
        reason="not installed: pip install -e '.[slurm]'",
    ),
]

RUN = ("recipe=smoke", "model=fcn", "model.units=32", "device=cpu")
SLURM = ("hydra/launcher=slurm", "hydra.launcher.cpus_per_task=1", "hydra.launcher.mem_gb=1")
LONG = 4000
"""Steps of a run that is still training when a test looks at it."""


def run_folder(seed, output="outputs/runs"):
    return Path(output) / f"r/fcn-plain/smoke/seed{seed}"


def training_job(seed):
    """The id of the Slurm job that is training the run of a seed, once one does."""
    if not list(run_folder(seed).glob("events.out.tfevents.*")):
        return None
    (log,) = (path for path in Path().rglob("*_log.err") if f"{run_folder(seed)}\n" in path.read_text())
    return log.name.removesuffix("_0_log.err")


def verdicts(said):
    """How each run ended, by its seed, as said when it did."""
    return {int(seed): verdict for seed, verdict in re.findall(r"^\[.*\bseed=(\d+).*?  (\w+)", said, re.MULTILINE)}


def test_a_preempted_run_of_a_sweep_is_queued_again_and_ends_as_if_nothing_had_been(start, slurm, wait_for):
    grids = f"hydra.sweeper.grids=[{{seed:[1,2,3]}},{{seed:[4],recipe.steps:[{LONG}]}}]"
    sweep = start("-m", *RUN, *SLURM, grids, env=slurm)
    job = wait_for(lambda: training_job(4))
    time.sleep(1)
    subprocess.run(["scancel", "--signal=USR2", job], env=slurm, check=True)
    _, said = sweep.communicate()
    assert sweep.returncode == 0, said
    assert verdicts(said) == dict.fromkeys(range(1, 5), "done")
    log = Path(f"outputs/runs/.submitit/{job}/{job}_0_log.err").read_text()
    assert log.count("Caught signal SIGUSR2") == 1
    assert 0 < int(re.search(r"going on after step ([\d,]+)", log)[1].replace(",", "")) < LONG
    records = {seed: read_record(run_folder(seed) / "result.json") for seed in range(1, 5)}
    assert {record.device.split(" (")[0] for record in records.values()} == {"CPU, 1 thread"}
    assert records[4].steps == LONG
    for seed, steps in ((1, 20), (4, LONG)):
        alone = start(*RUN, f"seed={seed}", f"recipe.steps={steps}", "output=alone")
        assert alone.wait() == 0
        queued, whole = run_folder(seed), run_folder(seed, "alone")
        assert (queued / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
        found, wanted = (np.load(folder / "predictions.npz")["predictions"] for folder in (queued, whole))
        np.testing.assert_array_equal(found, wanted)


def test_a_run_that_fails_and_one_that_is_killed_are_told_and_the_others_done(start, slurm, wait_for):
    others = f"{{seed:[3],recipe.batch_size:[60001]}},{{seed:[4],recipe.steps:[{LONG}]}}"
    grids = f"hydra.sweeper.grids=[{{seed:[1,2]}},{others}]"
    sweep = start("-m", *RUN, *SLURM, grids, env=slurm)
    job = wait_for(lambda: training_job(4))
    subprocess.run(["scancel", "--signal=KILL", job], env=slurm, check=True)
    _, said = sweep.communicate()
    assert sweep.returncode == 1
    assert verdicts(said) == {1: "done", 2: "done", 3: "FAILED", 4: "FAILED"}
    assert "60000 training images do not fill one batch" in said
    assert re.search(rf"Slurm's job {job} ended without a result \(\w+\); its log is .*{job}_0_log.err", said), said
    assert "Traceback" not in said
    again = start("-m", *RUN, *SLURM, grids, "seed=1,2,4", env=slurm)
    _, said = again.communicate()
    assert (again.returncode, verdicts(said)) == (0, {1: "skipped", 2: "skipped", 4: "done"}), said


def test_what_slurm_does_not_take_is_told_in_a_sentence(start, slurm):
    sweep = start("-m", *RUN, *SLURM, "seed=1,2", "hydra.launcher.partition=nowhere", env=slurm)
    _, said = sweep.communicate()
    assert sweep.returncode == 1
    assert said.startswith("sbatch: error: invalid partition specified: nowhere\n")
    assert said.endswith("\nstn-train: Slurm does not take the jobs, see above: change the keys of hydra.launcher\n")
    assert "Traceback" not in said
    assert not list(Path().rglob("seed*"))
