"""What a run leaves beside its record: weights, predictions, pictures."""

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors.torch import save

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
    state = {name: tensor.contiguous() for name, tensor in outcome.model.state_dict().items()}
    # not by its `save_file`, whose files nobody else may read
    write_whole(folder / WEIGHTS, save(state))
    arrays: Mapping[str, np.ndarray] = {
        "predictions": outcome.evaluation.predictions.numpy().astype(np.uint8),
        "labels": outcome.evaluation.labels.numpy().astype(np.uint8),
        **{f"theta/{name}": theta.numpy() for name, theta in outcome.evaluation.theta.items()},
    }
    packed = io.BytesIO()
    np.savez_compressed(packed, **arrays)  # type: ignore[arg-type]
    write_whole(folder / PREDICTIONS_NAME, packed.getvalue())
