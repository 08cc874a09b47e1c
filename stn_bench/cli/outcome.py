"""What a run leaves beside its record: weights, predictions, pictures."""

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor

from stn_bench import figures
from stn_bench.cli.run_folder import WEIGHTS
from stn_bench.files import write_whole
from stn_bench.results.predictions import PREDICTIONS_NAME
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


def _known(numbers: Tensor) -> Tensor:
    """In a type that NumPy has, too: in float32 at least."""
    return numbers.to(torch.promote_types(numbers.dtype, torch.float32))


def _small(classes: np.ndarray) -> np.ndarray:
    """In the smallest type that holds them all."""
    return classes.astype(np.min_scalar_type(classes.max()))
