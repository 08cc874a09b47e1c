"""What a run leaves: weights, predictions, pictures, and its record."""

import datetime
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor

from stn_bench import figures
from stn_bench.cli.run_folder import WEIGHTS
from stn_bench.data.distorted import DistortedDigits
from stn_bench.files import write_whole
from stn_bench.models import parameter_count
from stn_bench.results.predictions import PREDICTIONS_NAME
from stn_bench.results.record import Choices, RunRecord
from stn_bench.results.statistics import wilson_interval
from stn_bench.training.run import Outcome


def write_arrays(folder: Path, outcome: Outcome) -> None:
    """Write a picture for each transformer, `predictions.npz` and the weights. Raises OSError.

    They are on the disk when this returns: the record that is written next says that the run is done.
    """
    for name, seen in outcome.examples.items():
        figures.save(figures.warp_figure(seen.inputs, seen.points, seen.outputs), folder / f"{name}.png")
    # copies, as the library refuses memory that two names share, which a module used twice has
    state = {
        name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in outcome.model.state_dict().items()
    }
    # not by its `save_file`, whose files nobody else may read
    write_whole(folder / WEIGHTS, save(state))
    arrays: Mapping[str, np.ndarray] = {
        "predictions": _small(outcome.evaluation.predictions.numpy()),
        "labels": _small(outcome.evaluation.labels.numpy()),
        **{f"theta/{name}": _known(theta).numpy() for name, theta in outcome.evaluation.theta.items()},
    }
    packed = io.BytesIO()
    np.savez_compressed(packed, **arrays)  # type: ignore[arg-type]
    write_whole(folder / PREDICTIONS_NAME, packed.getvalue())


def record_of(
    outcome: Outcome, data: DistortedDigits, config: dict[str, Any], choices: Choices, about: Mapping[str, Any]
) -> RunRecord:
    """The record of a run of `config` on `data` that ends now.

    `about` says with what it was done: its `device`, `precision` and `git_commit`, and versions by name.
    """
    evaluation = outcome.evaluation
    return RunRecord(
        choices=choices,
        seed=config["seed"],
        evaluated_on=data.evaluated_on,
        error=evaluation.error,
        errors=evaluation.errors,
        images=evaluation.images,
        wilson_95=wilson_interval(evaluation.errors, evaluation.images),
        steps=outcome.steps,
        epochs=outcome.epochs,
        images_seen=outcome.images_seen,
        seconds=outcome.seconds,
        images_per_second=outcome.images_seen / outcome.seconds,
        parameters=parameter_count(outcome.model),
        device=about["device"],
        precision=about["precision"],
        config=config,
        versions={name: about[name] for name in about if name not in ("device", "precision", "git_commit")},
        git_commit=about["git_commit"],
        data_sha256=data.sha256,
        warp=dict(evaluation.warp),
        finished_at=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    )


def _known(numbers: Tensor) -> Tensor:
    """In a type that NumPy has, too: in float32 at least."""
    return numbers.to(torch.promote_types(numbers.dtype, torch.float32))


def _small(classes: np.ndarray) -> np.ndarray:
    """In the smallest type that holds them all."""
    return classes.astype(np.min_scalar_type(classes.max()))
