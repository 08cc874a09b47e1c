"""A device without float64 ("mps", faked here: few machines have one) has its systems solved on the CPU."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from stn_bench.geometry import homography, thin_plate


class WithoutFloat64(TorchDispatchMode):
    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, torch.Tensor) and tensor.device.type == "mps":
                assert tensor.dtype != torch.float64
        return made


@pytest.mark.parametrize(
    ("solve", "shapes"),
    [
        (homography.from_corners, [(5, 4, 2), (5, 4, 2)]),
        (thin_plate.solve, [(5, 16, 2), (5, 16, 2)]),
        (thin_plate.basis, [(6, 7, 2), (16, 2)]),
    ],
    ids=["homography", "splines", "basis"],
)
def test_a_device_without_float64_has_its_systems_solved_on_the_cpu(solve, shapes):
    with FakeTensorMode(), WithoutFloat64():
        solved = solve(*(torch.empty(shape, device="mps") for shape in shapes))
    assert (solved.device.type, solved.dtype) == ("mps", torch.float32)
