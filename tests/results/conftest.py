"""A record like those that runs leave behind, and a folder of them with predictions."""

import numpy as np
import pytest

from stn_bench.results.record import RunRecord, read_record, write_record
from stn_bench.results.statistics import wilson_interval


@pytest.fixture
def make_record():
    """A function of the choices, the seed and the number of errors; any other field by its name."""

    def make(model="cnn", transform=None, data="r", recipe="fast", tag=None, seed=1, errors=120, **other):
        images = other.pop("images", 10_000)
        fields = {
            "choices": {"data": data, "model": model, "transform": transform, "recipe": recipe, "tag": tag},
            "seed": seed,
            "evaluated_on": "test",
            "error": errors / images,
            "errors": errors,
            "images": images,
            "wilson_95": wilson_interval(errors, images),
            "steps": 7020,
            "epochs": 30,
            "images_seen": 1_797_120,
            "seconds": 61.5,
            "images_per_second": 29221.5,
            "parameters": 399_870,
            "device": "CPU, 2 threads",
            "precision": "fp32",
            "config": {"seed": seed, "recipe": {"batch_size": 256, "optimiser": {"lr": 0.1}}},
            "versions": {"torch": "2.15.0"},
            "git_commit": None,
            "data_sha256": "0fa7898d" * 8,
            "warp": {"determinant_mean": 1.02} if transform else {},
            "finished_at": "2025-03-01T12:00:00+00:00",
        }
        return RunRecord(**fields | other)

    return make


@pytest.fixture
def leave_run(tmp_path, make_record):
    """A function that writes a run with predictions below `tmp_path`, and returns its record as read.

    It takes whether each image was classified wrongly and what `make_record` takes.
    """

    def leave(wrong, model="cnn", transform=None, data="r", seed=1, **other):
        wrong = np.asarray(wrong)
        folder = tmp_path / data / f"{model}-{transform or 'plain'}" / "fast" / f"seed{seed}"
        folder.mkdir(parents=True)
        labels = np.arange(len(wrong), dtype=np.uint8) % 10
        predictions = np.where(wrong, (labels + 1) % 10, labels).astype(np.uint8)
        np.savez_compressed(folder / "predictions.npz", predictions=predictions, labels=labels)
        record = make_record(model, transform, data, seed=seed, errors=int(wrong.sum()), images=len(wrong), **other)
        return read_record(write_record(folder, record))

    return leave
