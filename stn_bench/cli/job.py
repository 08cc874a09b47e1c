"""One job of stn-train: own the folder, build, run or go on, write what came of it."""

import dataclasses
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from stn_bench.cli.attempt import Attempt
from stn_bench.cli.build import ConfigError
from stn_bench.cli.chosen import chosen
from stn_bench.cli.device import describe
from stn_bench.cli.faults import explained
from stn_bench.cli.finished import result_words, skip
from stn_bench.cli.outcome import record_of, write_arrays
from stn_bench.cli.ownership import RunInProgress, check_free, owned
from stn_bench.cli.parts import Parts
from stn_bench.cli.provenance import git_commit, joined, versions
from stn_bench.cli.run_folder import as_begun, claim, fingerprint, is_claimed, release, remove_stale
from stn_bench.cli.run_log import say_to_folder
from stn_bench.models import parameter_count
from stn_bench.results.record import RunRecord, write_record
from stn_bench.results.status import read_status
from stn_bench.schema import TrainConfig
from stn_bench.stderr import say
from stn_bench.training.checkpoint import Checkpoints
from stn_bench.training.interruption import Interruption
from stn_bench.training.keeper import Keeper
from stn_bench.training.logbook import Logbook
from stn_bench.training.precision import multiplies_bfloat16, resolved
from stn_bench.training.run import run


def train(cfg: DictConfig) -> str:
    """Do one run, go on with it, or skip it if it is finished. Returns "done" or "skipped", with the error in words.

    Raises RunInProgress where another process is at it.
    """
    known = [field.name for field in dataclasses.fields(TrainConfig)]
    for key in map(str, cfg):
        if key not in known:
            raise ConfigError(f"there is no root key {key}; there are {', '.join(known)}")
    if not 0 <= cfg.seed < 2**63:
        raise ConfigError(f"seed={cfg.seed} is out of range: give 0 to 2^63 - 1")
    folder = Path(os.path.relpath(HydraConfig.get().runtime.output_dir))
    config: dict[str, Any] = OmegaConf.to_container(cfg, resolve=True)  # type: ignore[assignment]
    batch_size = OmegaConf.select(cfg, "recipe.batch_size")
    check_free(folder)
    with explained(folder, batch_size):
        # a config that cannot be built leaves no trace; what befalls a run that was begun goes into its status
        parts = None if is_claimed(folder) else Parts.of(cfg)
        with owned(folder):
            if skipped := skip(cfg):  # finished by another process since we looked
                return skipped
            with Attempt(folder) as attempt, explained(folder, batch_size):
                record = _run(cfg, config, folder, parts or Parts.of(cfg), attempt)
    words = result_words(record)
    say(f"{words}, {record.seconds:.0f} s, {record.images_per_second:,.0f} images/s")
    return f"done  {words}"


def _run(cfg: DictConfig, config: dict[str, Any], folder: Path, parts: Parts, attempt: Attempt) -> RunRecord:
    """Train from where the folder's checkpoints end, evaluate, and write what came of it."""
    say_to_folder(folder)
    device, data, model, recipe, intervals = parts
    steps, precision = recipe.total_steps(data.train_count), resolved(recipe.precision, device)
    begun = as_begun(folder, config)
    checkpoints = Checkpoints(folder, fingerprint(begun))
    saved = checkpoints.load()
    done = saved["step"] if saved else 0
    width = f" (width {width})" if (width := getattr(model, "width", None)) else ""
    say(
        f"{folder}\n{parameter_count(model):,} parameters{width}, {data.train_count:,} training digits, "
        f"{steps:,} steps in {precision} on {describe(device)}" + (f", going on after step {done:,}" if saved else "")
    )
    # now, not at its end: somebody may commit meanwhile
    about: dict[str, Any] = {"precision": precision, "device": describe(device), "git_commit": git_commit()}
    about |= versions()
    if saved:
        about = joined(saved, about)
        if about["precision"] not in (precision, saved.get("precision")):
            words = f"its first steps were in {saved['precision']}"
            say(f"{words}: with recipe.precision=bf16 or fp32 all machines do the same")
    if precision == "bf16" and not multiplies_bfloat16(device):
        say("bf16 is emulated here, a hundred times slower than fp32: recipe.precision=auto takes the faster")
    claim(folder, begun)
    attempt.expect(done, steps)
    with Interruption() as interruption:
        keeper = Keeper(checkpoints, intervals, interruption, attempt.progress, about)
        try:
            with Logbook(folder, steps, done, saved and saved["logbook"]) as logbook:
                outcome = run(model, data, recipe, cfg.seed, logbook, keeper, saved and saved["training"])
        except Exception as error:
            with suppress(OSError):  # of a broken disk, say: the error is what counts
                if isinstance(error, FloatingPointError):
                    checkpoints.remove()
                if not checkpoints.paths():
                    release(folder)  # so that another config, which may be the remedy, can have it
            raise
        write_arrays(folder, outcome)
        record = record_of(outcome, data, config, chosen(cfg), about)
        write_record(folder, record)  # last: its presence says that the run is done
        checkpoints.remove()
    return record


def finish_up(folder: Path) -> None:
    """Finish what a process left that was killed between writing its record and giving the folder back."""
    status = read_status(folder)
    if status is not None and status.state != "done":
        with suppress(RunInProgress), owned(folder), Attempt(folder):
            remove_stale(folder)
            Checkpoints(folder, "").remove()
