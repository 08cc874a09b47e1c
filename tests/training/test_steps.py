"""The training loop: one optimiser step per batch, told step by step."""

import itertools
from copy import deepcopy

import pytest
import torch
from torch.optim.lr_scheduler import LambdaLR

from stn_bench.tasks import Classification
from stn_bench.training.precision import autocast
from stn_bench.training.steps import train_steps

CPU = torch.device("cpu")


@pytest.fixture
def batches(make_data):
    return list(make_data().training_batches(seed=1, epoch=0, batch_size=64))


def start(model, batches, lr=0.1, factor=lambda step: 1.0, kind=torch.optim.SGD, **settings):
    optimiser = kind(model.parameters(), lr=lr)
    return train_steps(model, batches, Classification(), optimiser, LambdaLR(optimiser, factor), **settings)


def flat(model):
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def test_a_step_follows_the_gradient_of_the_batchs_loss(make_model, batches):
    model = make_model()
    before = deepcopy(model)
    images, labels = batches[0]
    loss = torch.nn.functional.cross_entropy(before(images), labels)
    loss.backward()
    step = next(start(model, batches))
    torch.testing.assert_close(step.loss, loss.detach())
    assert int(step.errors) == int((before(images).argmax(1) != labels).sum())
    for moved, parameter in zip(model.parameters(), before.parameters(), strict=True):
        torch.testing.assert_close(moved.detach(), (parameter - 0.1 * parameter.grad).detach())


def test_what_is_told_is_a_number_on_the_device_without_a_graph(make_model, batches):
    for value in next(start(make_model(), batches)):
        assert value.shape == ()
        assert not value.requires_grad


def test_no_batch_is_drawn_before_its_step(make_model, batches):
    drawn = iter(batches)
    steps = start(make_model(), drawn)
    next(steps)
    next(steps)
    assert len(list(drawn)) == len(batches) - 2


def test_a_step_starts_from_its_own_gradient_alone(make_model, batches):
    once, twice = make_model(), make_model()
    list(start(once, batches[:1]))
    list(start(twice, [batches[1], batches[0]], factor=lambda step: float(step == 1)))  # the first moves nothing
    assert torch.equal(flat(once), flat(twice))


@pytest.mark.parametrize("clip_norm", [1e-3, 0.1])
def test_clipping_bounds_the_norm_of_the_gradient_over_all_weights(make_model, batches, clip_norm):
    free, clipped = make_model(), make_model()
    before = flat(free)
    next(start(free, batches, lr=1.0))
    next(start(clipped, batches, lr=1.0, clip_norm=clip_norm))
    free_move, clipped_move = flat(free) - before, flat(clipped) - before
    assert free_move.norm() > 0.2
    assert clipped_move.norm() == pytest.approx(clip_norm, rel=1e-3)
    torch.testing.assert_close(clipped_move / clipped_move.norm(), free_move / free_move.norm(), rtol=0, atol=1e-4)


def test_a_small_gradient_is_not_clipped(make_model, batches):
    free, clipped = make_model(), make_model()
    next(start(free, batches))
    next(start(clipped, batches, clip_norm=1e6))
    assert torch.equal(flat(free), flat(clipped))


def test_the_schedule_moves_on_with_every_step(make_model, batches):
    optimiser = torch.optim.SGD(make_model().parameters(), lr=1.0)
    schedule = LambdaLR(optimiser, lambda step: 0.5**step)
    model = make_model()
    steps = train_steps(model, batches[:3], Classification(), optimiser, schedule)
    assert [optimiser.param_groups[0]["lr"] for _ in steps] == [0.5, 0.25, 0.125]


def test_what_follows_a_step_sees_its_weights(make_model, batches):
    model = make_model()
    seen = []
    told = [flat(model) for _ in start(model, batches[:3], after_step=lambda: seen.append(flat(model)))]
    assert len(seen) == 3
    assert all(torch.equal(*pair) for pair in zip(seen, told, strict=True))
    assert not any(torch.equal(*pair) for pair in itertools.combinations(seen, 2))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_both_precisions_learn_in_float32_weights(make_model, batches, precision):
    model = make_model()
    steps = start(model, 5 * batches, lr=0.01, kind=torch.optim.AdamW, precision=precision)
    losses = [float(step.loss) for step in steps]
    assert losses[-1] < 0.3 * losses[0]
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_bf16_is_the_precision_of_products_and_fp32_leaves_them_alone():
    square = torch.ones(2, 2)
    with autocast(CPU, "bf16"):
        assert (square @ square).dtype == torch.bfloat16
    with autocast(CPU, "fp32"):
        assert (square @ square).dtype == torch.float32
