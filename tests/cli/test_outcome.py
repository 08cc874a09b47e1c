"""What a run leaves beside its record, where the disk does not have the room."""

import errno
import os

import pytest
import torch

from stn_bench.cli.outcome import write_arrays
from stn_bench.training.evaluation import Evaluation
from stn_bench.training.run import Outcome


@pytest.fixture
def outcome():
    """A function of how many weights and predictions: what a run came to."""

    def make(weights, images):
        labels = torch.zeros(images, dtype=torch.long)
        evaluation = Evaluation(0, images, torch.randint(0, 256, (images,)), labels, {}, {})
        return Outcome(torch.nn.Linear(weights, 1), evaluation, {}, 1, 1.0, 1, 1.0)

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
