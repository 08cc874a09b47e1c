"""What a run leaves beside its record: weights, predictions, pictures."""

from collections.abc import Mapping
from errno import EIO, ENOSPC
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.torch import save_file

from stn_bench import figures
from stn_bench.cli.run_folder import WEIGHTS
from stn_bench.results.predictions import PREDICTIONS_NAME
from stn_bench.training.run import Outcome


def write_arrays(folder: Path, outcome: Outcome) -> None:
    """Write the weights, `predictions.npz` and a picture for each transformer. Raises OSError."""
    state = {name: tensor.contiguous() for name, tensor in outcome.model.state_dict().items()}
    try:
        save_file(state, folder / WEIGHTS)
    except SafetensorError as error:  # its own class, and the system's reason in its words only
        full = "No space left" in str(error) or "StorageFull" in str(error)
        raise OSError(ENOSPC if full else EIO, str(error), str(folder / WEIGHTS)) from error
    arrays: Mapping[str, np.ndarray] = {
        "predictions": outcome.evaluation.predictions.numpy().astype(np.uint8),
        "labels": outcome.evaluation.labels.numpy().astype(np.uint8),
        **{f"theta/{name}": theta.numpy() for name, theta in outcome.evaluation.theta.items()},
    }
    np.savez_compressed(folder / PREDICTIONS_NAME, **arrays)  # type: ignore[arg-type]
    for name, seen in outcome.examples.items():
        figures.save(figures.warp_figure(seen.inputs, seen.points, seen.outputs), folder / f"{name}.png")
