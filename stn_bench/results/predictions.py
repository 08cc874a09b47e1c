"""Which images a run got wrong: `predictions.npz` beside its record, checked against it. Needs no torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from stn_bench.errors import UserError
from stn_bench.results.record import RunRecord

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PREDICTIONS_NAME = "predictions.npz"
LABELS_NAME = "labels.npz"
"""Holds the labels of many runs once, in a folder at most four above theirs: DATA/MODEL-TRANSFORM/RECIPE/SEED."""


class PredictionsError(UserError, ValueError):
    """Predictions that cannot be used: the message says what of them is missing or contradicts the record."""


def read_predictions(run: RunRecord) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """The class predicted of each image and, where they are beside the record or in a `labels.npz` above, the labels.

    Raises `PredictionsError` where there are no predictions, or a file is damaged.
    """
    if run.folder is None:
        raise PredictionsError("the record was not read from a folder")
    arrays = _arrays(run.folder / PREDICTIONS_NAME)
    if "predictions" not in arrays:
        raise PredictionsError(f"no {PREDICTIONS_NAME} beside the record")
    above = (_arrays(folder / LABELS_NAME) for folder in list(run.folder.absolute().parents)[:4])
    labels = next((found["labels"] for found in (arrays, *above) if "labels" in found), None)
    return arrays["predictions"], labels


def wrong_predictions(run: RunRecord) -> NDArray[np.bool_]:
    """Whether each image was classified wrongly: (images,), in the order of the data set.

    Raises `PredictionsError` where predictions or labels are missing or damaged, or where another number of them is
    wrong than the record says.
    """
    predictions, labels = read_predictions(run)
    if labels is None:
        raise PredictionsError(f"no labels in {PREDICTIONS_NAME}, and no {LABELS_NAME} in a folder above")
    return check_against(run, predictions, labels)


def check_against(run: RunRecord, predictions: NDArray[Any], labels: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether each image was classified wrongly; raises `PredictionsError` where the record says otherwise."""
    if not predictions.shape == labels.shape == (run.images,):
        raise PredictionsError(
            f"{predictions.size} predictions and {labels.size} labels for the {run.images} images of the record"
        )
    wrong: NDArray[np.bool_] = predictions != labels
    if wrong.sum() != run.errors:
        raise PredictionsError(f"{wrong.sum()} predictions are wrong, but the record says {run.errors}")
    return wrong


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Predictions and labels in a file; nothing where it is not there."""
    import numpy as np

    try:
        with path.open("rb") as file, np.load(file) as arrays:  # NumPy leaves a damaged file open that it opened
            found = {name: arrays[name] for name in ("predictions", "labels") if name in arrays}
    except FileNotFoundError:
        return {}
    except Exception as error:  # a flipped bit can make zipfile, zlib, tokenize and NumPy raise a dozen kinds
        raise PredictionsError(f"{path.name} cannot be read") from error
    for name, array in found.items():
        if array.dtype.kind not in "iu":
            raise PredictionsError(f"{path.name} holds {name} of type {array.dtype}, not numbers of classes")
    return found
