"""Muon: what one step does to a matrix, to a convolution and to a bias."""

import math

import pytest
import torch

from stn_bench.training.muon import _orthogonal, muon, orthogonal_together


def step(parameter, gradient, **settings):
    """How far one step moves a parameter."""
    parameter = torch.nn.Parameter(parameter.clone())
    parameter.grad = gradient.clone()
    before = parameter.detach().clone()
    muon([{"params": [parameter]}], **settings).step()
    return before - parameter.detach()


@pytest.mark.parametrize("shape", [(12, 40), (40, 12), (20, 1, 5, 5), (8, 3, 3, 3)])
def test_a_step_moves_a_matrix_about_equally_in_every_direction_of_its_gradient(shape):
    torch.manual_seed(0)
    gradient = torch.randn(shape) * torch.logspace(0, -1, shape[0]).view(-1, *[1] * (len(shape) - 1))
    moved = step(torch.zeros(shape), gradient, lr=0.01).flatten(1)
    left, _, right = torch.linalg.svd(gradient.flatten(1), full_matrices=False)
    along = (left.mT @ moved @ right.mT).diagonal() / (0.01 * 0.2 * max(moved.shape) ** 0.5)
    # five Newton-Schulz steps leave singular values between about 0.7 and 1.2
    assert 0.6 < along.min() < along.max() < 1.3
    assert torch.linalg.matrix_norm(moved) > 0.95 * torch.linalg.vector_norm(along) * 0.002 * max(moved.shape) ** 0.5


def test_a_bias_moves_as_adam_moves_it():
    gradient = torch.tensor([3.0, -0.02, 0.5])
    expected = torch.nn.Parameter(torch.ones(3))
    expected.grad = gradient.clone()
    torch.optim.AdamW([expected], lr=0.01, betas=(0.9, 0.98), weight_decay=0.1).step()
    moved = step(torch.ones(3), gradient, lr=0.01, weight_decay=0.1)
    torch.testing.assert_close(1 - moved, expected.detach())


@pytest.mark.parametrize("shape", [(6, 5), (5,)])
def test_weights_decay_by_their_share_of_the_learning_rate(shape):
    torch.testing.assert_close(
        step(torch.ones(shape), torch.zeros(shape), lr=0.01, weight_decay=0.1), torch.full(shape, 0.001)
    )


def test_a_group_keeps_what_it_carries_and_nothing_is_lost():
    layer = torch.nn.Conv2d(1, 4, 3)
    groups = muon([{"params": layer.parameters(), "name": "first"}, {"params": [torch.nn.Parameter(torch.ones(2))]}])
    found = [(group.get("name"), group["use_muon"], len(group["params"])) for group in groups.param_groups]
    assert found == [("first", True, 1), ("first", False, 1), (None, False, 1)]


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"momentum": 1.5}, "momentum"),
        ({"lr": -1}, "Invalid learning rate: -1"),
        ({"lr": math.nan}, "Invalid learning rate: nan"),
        ({"weight_decay": -1}, "Invalid weight decay: -1"),
        ({"weight_decay": math.inf}, "Invalid weight decay: inf"),
    ],
)
def test_a_number_out_of_range_is_refused(setting, words):
    with pytest.raises(ValueError, match=words):
        muon([{"params": [torch.nn.Parameter(torch.ones(2, 2))]}], **setting)


SMALL = [(12, 40), (40, 12), (8, 3, 3, 3), (6, 80), (80, 6), (6, 8, 7, 7), (128, 128)]


@pytest.mark.parametrize("shape", [*SMALL, (129, 140), (160, 40, 2, 2), (300, 129)])
def test_a_step_is_taken_in_bfloat16_for_large_matrices_where_there_is_such_a_product(monkeypatch, shape):
    """The iteration itself, a X + b (X X') X + c (X X')^2 X from the normalised momentum, in double precision."""
    torch.manual_seed(0)
    gradient = torch.randn(shape)
    matrix = gradient.flatten(1).double()
    matrix = matrix / matrix.norm()
    for _ in range(5):
        gram = matrix @ matrix.mT
        matrix = 3.4445 * matrix + (-4.7750 * gram + 2.0315 * gram @ gram) @ matrix
    expected = 0.01 * 0.2 * max(matrix.shape) ** 0.5 * matrix.reshape(shape)
    away = {}
    for native in (True, False):
        monkeypatch.setattr("stn_bench.training.muon.multiplies_bfloat16", lambda device, native=native: native)
        away[native] = float((step(torch.zeros(shape), gradient, lr=0.01) - expected).norm() / expected.norm())
    assert away[False] < 1e-4
    assert away[True] < 1e-4 if shape in SMALL else 1e-3 < away[True] < 0.1


def test_matrices_of_many_shapes_in_one_batch_are_those_taken_one_by_one():
    torch.manual_seed(0)
    matrices = [torch.randn(shape) for shape in [(12, 40), (40, 12), (10, 10), (3, 81), (33, 20), (1, 5)]]
    settings = {"num_steps": 5, "weights": (3.4445, -4.7750, 2.0315), "dtype": torch.float32}
    for found, matrix in zip(orthogonal_together(matrices, **settings), matrices, strict=True):
        torch.testing.assert_close(found, _orthogonal(matrix, **settings), rtol=0, atol=2e-4)
