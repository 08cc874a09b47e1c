"""Predictions are used only where they bear out the record."""

from pathlib import Path

import numpy as np
import pytest

from stn_bench.results.predictions import PredictionsError, wrong_predictions
from stn_bench.results.record import read_record

WRONG = np.arange(50) % 7 == 3


def test_a_prediction_is_wrong_where_it_is_not_the_label(leave_run):
    assert np.array_equal(wrong_predictions(leave_run(WRONG)), WRONG)


def without_labels(run):
    path = run.folder / "predictions.npz"
    with np.load(path) as arrays:
        predictions, labels = arrays["predictions"], arrays["labels"]
    np.savez_compressed(path, predictions=predictions)
    return labels


@pytest.mark.parametrize("levels", range(1, 5))
def test_the_labels_may_lie_once_above_many_runs(leave_run, levels):
    run = leave_run(WRONG)
    labels = without_labels(run)
    np.savez_compressed(run.folder.parents[levels - 1] / "labels.npz", labels=labels)
    assert np.array_equal(wrong_predictions(run), WRONG)


def test_labels_above_are_found_from_inside_the_folder_of_the_runs(leave_run, monkeypatch):
    run = leave_run(WRONG)
    np.savez_compressed(run.folder.parents[2] / "labels.npz", labels=without_labels(run))
    monkeypatch.chdir(run.folder.parent)
    assert np.array_equal(wrong_predictions(read_record(Path(run.folder.name) / "result.json")), WRONG)


def test_labels_that_lie_farther_away_are_not_taken_for_those_of_a_run(leave_run):
    run = leave_run(WRONG)
    np.savez_compressed(run.folder.parents[4] / "labels.npz", labels=without_labels(run))
    with pytest.raises(PredictionsError, match=r"no labels in predictions.npz, and no labels.npz in a folder above"):
        wrong_predictions(run)


def test_missing_predictions_are_told(leave_run):
    run = leave_run(WRONG)
    (run.folder / "predictions.npz").unlink()
    with pytest.raises(PredictionsError, match=r"no predictions.npz beside the record"):
        wrong_predictions(run)


def test_a_record_that_was_never_on_disk_has_none(make_record):
    with pytest.raises(PredictionsError, match="not read from a folder"):
        wrong_predictions(make_record())


def write_array(path, array):
    with path.open("wb") as file:
        np.save(file, array, allow_pickle=True)


def change(content, place):
    """Another byte in one place."""
    return content[:place] + b"\x63" + content[place + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"no archive"),
        lambda path: path.write_bytes(path.read_bytes()[:-80]),
        lambda path: path.write_bytes(path.read_bytes().replace(path.read_bytes()[60:90], bytes(30))),
        lambda path: write_array(path, WRONG),
        lambda path: write_array(path, np.array([{"an": "object"}])),
        lambda path: (path.unlink(), path.mkdir()),
        lambda path: path.write_bytes(change(path.read_bytes(), path.read_bytes().index(b"PK\x01\x02") + 10)),
    ],
    ids=["empty", "text", "cut", "overwritten", "array", "pickle", "folder", "method"],
)
def test_a_damaged_file_is_told(leave_run, damage):
    run = leave_run(WRONG)
    damage(run.folder / "predictions.npz")
    with pytest.raises(PredictionsError, match=r"predictions.npz cannot be read"):
        wrong_predictions(run)


def test_predictions_that_contradict_the_record_are_refused(leave_run):
    run = leave_run(WRONG)
    labels = np.arange(50) % 10
    np.savez_compressed(run.folder / "predictions.npz", predictions=labels, labels=labels)
    with pytest.raises(PredictionsError, match="0 predictions are wrong, but the record says 7"):
        wrong_predictions(run)
    pairs = np.zeros(50, dtype=[("a", int), ("b", int)])
    np.savez_compressed(run.folder / "predictions.npz", predictions=pairs, labels=labels)
    with pytest.raises(PredictionsError, match=r"predictions.npz holds predictions of type .*, not numbers of classes"):
        wrong_predictions(run)
    np.savez_compressed(run.folder / "predictions.npz", predictions=labels[:49], labels=labels)
    with pytest.raises(PredictionsError, match="49 predictions and 50 labels for the 50 images of the record"):
        wrong_predictions(run)
