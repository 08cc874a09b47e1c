"""What a captured step does on the device alone, here on the CPU; what capturing itself does: tests/gpu."""

import itertools

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from stn_bench.tasks import Classification
from stn_bench.training import WarmupCosine
from stn_bench.training.capturable import can_be_captured, settle
from stn_bench.training.captured import CapturedSteps
from stn_bench.training.muon import muon
from stn_bench.training.state import Training
from stn_bench.training.steps import train_steps

BATCH, STEPS = 64, 15  # ten an epoch
CPU = torch.device("cpu")


@pytest.fixture
def begin(make_data, make_model, make_recipe):
    def begin(optimiser):
        data, model = make_data(), make_model()
        recipe = make_recipe(
            lr=0.003,  # small: a last bit grows from step to step
            optimiser=optimiser,
            schedule=WarmupCosine(0.3),
            localiser_schedule=WarmupCosine(0.1),
            localiser_lr_multiplier=3.0,
            average_decay=0.9,
            steps=STEPS,
            clip_norm=1.0,
        )
        return Training.begin(model, recipe, data.train_count), recipe, data

    return begin


@pytest.mark.parametrize(("optimiser", "rounding"), [(torch.optim.SGD, 1e-5), (muon, 1e-4)])
def test_steps_that_read_all_that_changes_on_the_device_are_the_plain_ones(begin, optimiser, rounding, monkeypatch):
    # in bfloat16 a last bit of the momentum would be a hundredth of the update, and all losses apart after some steps
    monkeypatch.setattr("stn_bench.training.muon.multiplies_bfloat16", lambda device: False)
    training, recipe, data = begin(optimiser)
    task = Classification()
    batches = itertools.chain.from_iterable(data.training_batches(1, epoch, BATCH) for epoch in range(2))
    plain = train_steps(
        training.model,
        itertools.islice(batches, STEPS),
        task,
        training.optimiser,
        training.schedule,
        clip_norm=1.0,
        after_step=training.average,
    )
    expected = torch.stack([step.loss for step in plain])
    averaged = training.evaluated_model.state_dict()
    rates = [group["lr"] for group in training.optimiser.param_groups]

    training, recipe, data = begin(optimiser)
    for group in training.optimiser.param_groups:  # as `settle` has them on a GPU
        group.update({name: torch.tensor(float(group[name])) for name in ("lr", "step") if name in group})
    steps = CapturedSteps(training, task, recipe)
    steps._warm_up = 0  # a step is then neither captured nor taken on another stream
    found = []
    for epoch in range(2):
        told = steps.epoch(*data.training_epoch(1, epoch), 0, STEPS - len(found))
        found += [step.loss.clone() for step in told]
    torch.testing.assert_close(torch.stack(found), expected, rtol=0, atol=rounding)
    torch.testing.assert_close(training.evaluated_model.state_dict(), averaged, rtol=0, atol=10 * rounding)
    last, mean = (network.state_dict()["classifier.1.weight"] for network in (training.model, training.evaluated_model))
    assert not torch.equal(last, mean)
    assert training.schedule.last_epoch == STEPS
    assert [float(group["lr"]) for group in training.optimiser.param_groups] == pytest.approx(rates)


def test_an_epoch_can_be_entered_at_any_step(begin):
    whole, part = begin(torch.optim.SGD), begin(torch.optim.SGD)
    losses = []
    for training, recipe, data in (whole, part):
        for group in training.optimiser.param_groups:
            group["lr"] = torch.tensor(group["lr"])
        pieces = [(0, 10)] if training is whole[0] else [(0, 4), (4, 3), (7, 10)]
        seen = []
        for first, count in pieces:
            steps = CapturedSteps(training, Classification(), recipe)
            steps._warm_up = 0
            seen += [step.loss.clone() for step in steps.epoch(*data.training_epoch(1, 0), first, count)]
        losses.append(torch.stack(seen))
    assert len(losses[0]) == 10
    assert torch.equal(*losses)


def test_an_epoch_at_once_is_its_batches(make_data):
    data = make_data()
    images, labels = data.training_epoch(3, 7)
    batches = list(data.training_batches(3, 7, BATCH))
    torch.testing.assert_close(images, torch.cat([batch[0] for batch in batches]), rtol=0, atol=1e-6)
    assert torch.equal(labels, torch.cat([batch[1] for batch in batches]))


def test_what_a_gpu_counted_in_tensors_goes_on_as_plain_numbers_on_the_cpu(make_model):
    optimiser = muon([{"params": list(make_model().parameters())}], lr=0.5)
    for group in optimiser.param_groups:
        group["lr"], group["step"] = torch.tensor(0.25), torch.tensor(7.0)
    settle(optimiser, CPU)
    assert [(group["lr"], group["step"]) for group in optimiser.param_groups] == [(0.25, 7)] * 2
    assert all(type(group["step"]) is int for group in optimiser.param_groups)


def test_what_a_cpu_counted_goes_on_on_a_gpu():
    with FakeTensorMode():
        weight = torch.nn.Parameter(torch.empty(2, device="cuda"))
        optimiser = torch.optim.AdamW([weight])
        optimiser.state[weight]["step"] = torch.tensor(7.0)
        settle(optimiser, weight.device)
        assert optimiser.state[weight]["step"].device == weight.device


def test_optimisers_that_count_or_wait_on_the_host_are_known():
    weights = [torch.nn.Parameter(torch.ones(2, 2))]
    assert can_be_captured(torch.optim.AdamW(weights))
    assert can_be_captured(torch.optim.SGD(weights, lr=1.0, fused=True))
    assert not can_be_captured(torch.optim.SGD(weights, lr=1.0))
    assert can_be_captured(muon([{"params": weights}]))
    assert not can_be_captured(torch.optim.Adagrad(weights))
