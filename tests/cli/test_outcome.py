"""What a run leaves beside its record, where the disk does not have the room."""

import errno
import os

import pytest
import torch

from stn_bench.cli.outcome import write_arrays
from stn_bench.training.evaluation import Evaluation
from stn_bench.training.run import Outcome


@pytest.mark.parametrize(("weights", "images"), [(10**6, 10), (10, 10**7)], ids=["weights", "predictions"])
def test_a_full_disk_is_the_systems_error_whoever_writes(small_disk, weights, images):
    labels = torch.zeros(images, dtype=torch.long)
    evaluation = Evaluation(0, images, torch.randint(0, 256, (images,)), labels, {}, {})
    outcome = Outcome(torch.nn.Linear(weights, 1), evaluation, {}, 1, 1.0, 1, 1.0)
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)) as full:
        write_arrays(small_disk, outcome)
    assert full.value.errno == errno.ENOSPC
