"""One job of stn-train: claim the folder, build, run, write what came of it."""

import dataclasses
import datetime
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from safetensors.torch import save_file

from stn_bench import figures
from stn_bench.cli.build import ConfigError, build
from stn_bench.cli.finished import result_words, skip
from stn_bench.cli.run_folder import claim, release
from stn_bench.cli.run_log import say_to_folder
from stn_bench.models import parameter_count
from stn_bench.results.record import Choices, RunRecord, write_record
from stn_bench.results.statistics import wilson_interval
from stn_bench.schema import TrainConfig
from stn_bench.training.allocator import keep_freed_memory
from stn_bench.training.logbook import Logbook
from stn_bench.training.recipe import Recipe
from stn_bench.training.run import Outcome, run


def train(cfg: DictConfig) -> str:
    """Do one run, or skip it if it is finished. Returns "done" or "skipped", with the error in words."""
    known = [field.name for field in dataclasses.fields(TrainConfig)]
    for key in map(str, cfg):
        if key not in known:
            raise ConfigError(f"there is no root key {key}; there are {', '.join(known)}")
    if not 0 <= cfg.seed < 2**63:
        raise ConfigError(f"seed={cfg.seed} is out of range: give 0 to 2^63 - 1")
    folder = Path(os.path.relpath(HydraConfig.get().runtime.output_dir))
    config: dict[str, Any] = OmegaConf.to_container(cfg, resolve=True)  # type: ignore[assignment]
    if words := skip(cfg):
        return words
    keep_freed_memory()
    device = choose_device(cfg.device)
    torch.manual_seed(cfg.seed)
    data = build(cfg.data, "data", cfg.trusted).to(device)
    model = build(cfg.model, "model", cfg.trusted, image_shape=data.image_shape, classes=data.classes).to(device)
    recipe: Recipe = build(cfg.recipe, "recipe", cfg.trusted)
    recipe.make_optimiser(model)  # the run makes its own; this one tells whether it can
    introduction = (
        f"{folder}\n{parameter_count(model):,} parameters (width {model.width}), {data.train_count:,} training digits, "
        f"{recipe.total_steps(data.train_count):,} steps in {recipe.precision} on {describe(device)}"
    )
    claim(folder, config)  # not before: a config that cannot be built leaves no trace
    say_to_folder(folder)
    _say(introduction)
    with Logbook(folder, recipe.total_steps(data.train_count)) as logbook:
        try:
            outcome = run(model, data, recipe, cfg.seed, logbook)
        except FloatingPointError:
            release(folder)  # so that the advice, another config, can be followed in it
            raise
    _write(folder, outcome)
    record = RunRecord(
        choices=_choices(cfg),
        seed=cfg.seed,
        evaluated_on=data.evaluated_on,
        error=outcome.evaluation.error,
        errors=outcome.evaluation.errors,
        images=outcome.evaluation.images,
        wilson_95=wilson_interval(outcome.evaluation.errors, outcome.evaluation.images),
        steps=outcome.steps,
        epochs=outcome.epochs,
        images_seen=outcome.images_seen,
        seconds=outcome.seconds,
        images_per_second=outcome.images_seen / outcome.seconds,
        parameters=parameter_count(model),
        device=describe(device),
        precision=recipe.precision,
        config=config,
        versions={name: version(name) for name in ("stn-bench", "torch", "numpy", "hydra-core")}
        | {"python": platform.python_version()},
        git_commit=git_commit(),
        data_sha256=data.sha256,
        warp=dict(outcome.evaluation.warp),
        finished_at=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    )
    write_record(folder, record)  # last: its presence says that the run is done
    words = result_words(record)
    _say(f"{words}, {outcome.seconds:.0f} s, {record.images_per_second:,.0f} images/s")
    return f"done  {words}"


def choose_device(name: str) -> torch.device:
    """The device that `device=auto|cpu|cuda|cuda:N` means. Raises ConfigError for one that is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise ConfigError(f"device={name} is not known: use auto, cpu or cuda")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"device={name}, but torch {torch.__version__} sees no GPU here: use device=cpu or auto")
    return device


def describe(device: torch.device) -> str:
    """A device in words."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"CPU, {threads} thread{'s' if threads > 1 else ''} ({platform.machine()})"


def git_commit() -> str | None:
    """The commit of the source tree that this package runs from, with "+" if it was changed; None outside of one."""
    here = Path(__file__).parents[2]
    if not (here / ".git").exists():
        return None

    def git(*words: str) -> str:
        return subprocess.run(["git", "-C", str(here), *words], capture_output=True, text=True, check=True).stdout

    try:
        changed = git("status", "--porcelain", "--untracked-files=no", "--", "stn_bench", "configs", "pyproject.toml")
        return git("rev-parse", "HEAD").strip() + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _write(folder: Path, outcome: Outcome) -> None:
    state = {name: tensor.contiguous() for name, tensor in outcome.model.state_dict().items()}
    save_file(state, folder / "model.safetensors")
    arrays: Mapping[str, np.ndarray] = {
        "predictions": outcome.evaluation.predictions.numpy().astype(np.uint8),
        **{f"theta/{name}": theta.numpy() for name, theta in outcome.evaluation.theta.items()},
    }
    np.savez_compressed(folder / "predictions.npz", **arrays)  # type: ignore[arg-type]
    for name, seen in outcome.examples.items():
        figures.save(figures.warp_figure(seen.inputs, seen.points, seen.outputs), folder / f"{name}.png")


def _choices(cfg: DictConfig) -> Choices:
    chosen = HydraConfig.get().runtime.choices
    return Choices(
        data=chosen["data"],
        model=chosen["model"],
        transform=chosen.get("transform"),
        recipe=chosen["recipe"],
        tag=cfg.tag,
    )


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
