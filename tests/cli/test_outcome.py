"""What a run leaves beside its record: all that it knew, and an error where the disk does not have the room."""

import errno
import os

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from stn_bench.cli.outcome import write_arrays
from stn_bench.training.evaluation import Evaluation
from stn_bench.training.run import Outcome


def made(model, evaluation):
    return Outcome(model, evaluation, {}, 1, 1.0, 1, 1.0)


@pytest.fixture
def outcome():
    """A function of how many weights and predictions: what a run came to."""

    def make(weights, images):
        labels = torch.zeros(images, dtype=torch.long)
        evaluation = Evaluation(0, images, torch.randint(0, 256, (images,)), labels, {}, {})
        return made(torch.nn.Linear(weights, 1), evaluation)

    return make


@pytest.mark.parametrize(("weights", "images"), [(10**6, 10), (10, 10**7)], ids=["weights", "predictions"])
def test_a_full_disk_is_the_systems_error_whoever_writes(small_disk, outcome, weights, images):
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)) as full:
        write_arrays(small_disk, outcome(weights, images))
    assert full.value.errno == errno.ENOSPC
    assert not list(small_disk.glob(".*"))


def test_others_may_read_what_a_run_leaves_as_they_may_any_file(tmp_path, outcome):
    (tmp_path / "plain").touch()
    write_arrays(tmp_path, outcome(10, 10))
    assert {path.stat().st_mode for path in tmp_path.iterdir()} == {(tmp_path / "plain").stat().st_mode}
    assert {path.name for path in tmp_path.iterdir()} == {"plain", "model.safetensors", "predictions.npz"}


def test_what_a_run_leaves_is_on_the_disk_before_its_record_can_say_so(tmp_path, outcome, monkeypatch):
    synced, fsync = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (synced.append(os.fstat(file).st_ino), fsync(file)))
    write_arrays(tmp_path, outcome(10, 10))
    assert {path.stat().st_ino for path in (*tmp_path.iterdir(), tmp_path)} == set(synced)


def test_a_module_that_stands_in_two_places_is_saved_in_both(tmp_path, outcome):
    one = torch.nn.Linear(3, 3)
    network = torch.nn.Sequential(one, torch.nn.ReLU(), one)
    write_arrays(tmp_path, made(network, outcome(1, 5).evaluation))
    state = load_file(tmp_path / "model.safetensors")
    assert state.keys() == network.state_dict().keys()
    assert torch.equal(state["0.weight"], state["2.weight"])
    assert network.load_state_dict(state)


def test_classes_are_told_whatever_their_number_and_theta_whatever_its_precision(tmp_path, outcome):
    predictions, theta = torch.tensor([256, 299, 0]), torch.tensor([[1.0, -0.5]] * 3)
    for precise in (torch.bfloat16, torch.float32, torch.float64):
        evaluation = Evaluation(0, 3, predictions, predictions.flip(0), {"t": theta.to(precise)}, {})
        write_arrays(tmp_path, made(outcome(1, 1).model, evaluation))
        with np.load(tmp_path / "predictions.npz") as arrays:
            assert arrays["predictions"].tolist() == [256, 299, 0]
            assert arrays["labels"].tolist() == [0, 299, 256]
            assert arrays["theta/t"].tolist() == theta.tolist()


def test_ten_classes_take_a_byte_each(tmp_path, outcome):
    digits = torch.arange(10)
    write_arrays(tmp_path, made(outcome(1, 1).model, Evaluation(0, 10, digits, digits, {}, {})))
    with np.load(tmp_path / "predictions.npz") as arrays:
        assert (arrays["predictions"].dtype, arrays["labels"].dtype) == (np.uint8, np.uint8)
