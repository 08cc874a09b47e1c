"""Steps captured as a CUDA graph do what steps taken one by one do; needs a GPU: pytest -m gpu."""

import itertools
from copy import deepcopy

import pytest
import torch
from torch import nn

from stn_bench.cli.build import build
from stn_bench.data.distorted import DistortedDigits
from stn_bench.distortions import Elastic, Projective, Rotation, RotationScaleTranslation
from stn_bench.tasks import Classification
from stn_bench.training.captured import CapturedSteps
from stn_bench.training.precision import compute_exactly
from stn_bench.training.state import Training
from stn_bench.training.steps import train_steps

pytestmark = pytest.mark.gpu

STEPS = 100
BATCH = 32
CELLS = [
    ("model=fcn", "transform=null"),
    ("model=cnn", "transform=null"),
    *(
        (f"model={model}", f"transform={warp}")
        for model in ("fcn_stn", "cnn_stn")
        for warp in ("affine", "projective", "tps")
    ),
]
DISTORTIONS = {"r": Rotation, "rts": RotationScaleTranslation, "p": Projective, "e": Elastic}


@pytest.fixture(autouse=True)
def exact():
    compute_exactly()


@pytest.fixture
def make_digits(few_digits):
    return lambda name="r", device="cuda": DistortedDigits(few_digits, DISTORTIONS[name]()).to(device)


@pytest.fixture
def begin(compose_config):
    """A training of a config's network and recipe, from the same weights each time."""

    def begin(data, *words, device="cuda"):
        config = compose_config(*(word for word in words if word != "transform=null"), f"recipe.batch_size={BATCH}")
        torch.manual_seed(1)
        model = build(config.model, "model", image_shape=data.image_shape, classes=data.classes).to(device)
        recipe = build(config.recipe, "recipe")
        return Training.begin(model, recipe, data.train_count), recipe

    return begin


def captured(training, recipe, data, steps=STEPS, possible=True):
    """The losses of so many captured steps, from where the training stands."""
    taken = CapturedSteps(training, Classification(recipe.label_smoothing), recipe)
    losses, epoch, first = [], *divmod(training.schedule.last_epoch, training.per_epoch)
    while len(losses) < steps:
        count = steps - len(losses)
        losses += [step.loss.clone() for step in taken.epoch(*data.training_epoch(1, epoch), first, count)]
        epoch, first = epoch + 1, 0
    assert (taken._graph is not None) == possible
    return torch.stack(losses)


def one_by_one(training, recipe, data, steps=STEPS):
    epochs = (data.training_batches(1, epoch, BATCH) for epoch in itertools.count())
    batches = itertools.islice(itertools.chain.from_iterable(epochs), steps)
    task = Classification(recipe.label_smoothing)
    settings = (training.optimiser, training.schedule, recipe.precision, recipe.clip_norm)
    return torch.stack([step.loss for step in train_steps(training.model, batches, task, *settings)])


def weights(training):
    return torch.cat([parameter.detach().flatten() for parameter in training.model.parameters()])


@pytest.mark.parametrize(
    ("recipe", "precision", "steps", "rounding"),
    # in bfloat16 a last bit of a pixel may become one of eight, and what comes of it grows from step to step
    [("paper", "fp32", STEPS, 2e-3), ("fast", "fp32", STEPS, 2e-3), ("fast", "bf16", 40, 0.03)],
)
@pytest.mark.parametrize("cell", CELLS, ids=" ".join)
def test_captured_steps_are_those_taken_one_by_one(make_digits, begin, cell, recipe, precision, steps, rounding):
    data = make_digits()
    words = (*cell, f"recipe={recipe}", f"recipe.precision={precision}")
    graph, plain = (begin(data, *words) for _ in range(2))
    first, second = captured(*graph, data, steps), one_by_one(*plain, data, steps)
    assert first[-10:].mean() < first[:10].mean()
    torch.testing.assert_close(first, second, rtol=rounding, atol=rounding)
    if precision == "fp32":
        torch.testing.assert_close(weights(graph[0]), weights(plain[0]), rtol=0, atol=rounding)
    rates = [[float(group["lr"]) for group in training.optimiser.param_groups] for training, _ in (graph, plain)]
    assert rates[0] == pytest.approx(rates[1], rel=1e-6)


@pytest.mark.parametrize("optimiser", ["adamw", "muon", "sgd"])
@pytest.mark.parametrize("name", DISTORTIONS)
def test_two_runs_are_bit_equal(make_digits, begin, name, optimiser):
    words = ("model=cnn_stn", "transform=tps", f"recipe/optimiser={optimiser}")
    data = make_digits(name)
    both = [begin(data, *words) for _ in range(2)]
    assert torch.equal(*(captured(*each, data) for each in both))
    assert torch.equal(*(weights(training) for training, _ in both))


def test_a_training_that_goes_on_is_bit_equal_to_one_that_never_stopped(make_digits, begin):
    data = make_digits()
    whole, torn, rest = (begin(data, "model=cnn_stn", "transform=affine") for _ in range(3))
    losses = captured(*whole, data)
    before = captured(*torn, data, 37)
    state = deepcopy(torn[0].state_dict())
    state["epoch"], seen = divmod(37, torn[0].per_epoch)
    state["losses"], state["errors"] = torch.zeros(seen), torch.zeros(seen)
    rest[0].load_state_dict(state)
    assert torch.equal(losses, torch.cat([before, captured(*rest, data, STEPS - 37)]))
    assert torch.equal(weights(whole[0]), weights(rest[0]))


@pytest.mark.parametrize("fused", ["true", "false"])
def test_a_training_that_a_cpu_began_goes_on_captured(make_digits, begin, fused):
    words = ("model=fcn", "recipe/optimiser=adamw", f"recipe.optimiser.fused={fused}", "recipe.precision=fp32")
    here, there = make_digits(device="cpu"), make_digits()
    begun, rest = begin(here, *words, device="cpu"), begin(there, *words)
    one_by_one(*begun, here, 5)
    rest[0].load_state_dict(begun[0].state_dict())
    captured(*rest, there, 20)
    assert {float(state["step"]) for state in rest[0].optimiser.state.values()} == {25}


def test_what_layers_draw_goes_on_on_a_machine_with_more_gpus(make_digits, begin, monkeypatch):
    data = make_digits()
    training, _ = begin(data, "model=fcn")
    state = training.state_dict()
    drawn = torch.rand(9, device="cuda")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    training.load_state_dict(state)
    assert torch.equal(torch.rand(9, device="cuda"), drawn)
    assert begin(data, "model=fcn", device="cpu")[0].state_dict()["random_cuda"] == []


def test_a_network_that_waits_for_its_kernels_is_stepped_one_by_one(make_digits, begin, caplog):
    class Waiting(nn.Sequential):
        def forward(self, images):
            assert float(images.mean()) > 0
            return super().forward(images)

    data = make_digits()
    both = [begin(data, "model=fcn") for _ in range(2)]
    waiting, recipe = both[0]
    waiting.model = Waiting(*waiting.model)
    expected = captured(*both[1], data, 20)
    losses = captured(waiting, recipe, data, 20, possible=False)
    assert "cannot be captured" in caplog.text
    assert "previous error" not in caplog.text  # but which one that was
    assert torch.cuda.current_stream() == torch.cuda.default_stream()
    torch.rand(1, device="cuda")  # a layer may still draw
    torch.testing.assert_close(losses, expected, rtol=1e-4, atol=1e-4)


def test_many_images_warped_at_once_are_those_of_the_batches(make_digits):
    data = make_digits("e")
    images, labels = data.training_epoch(3, 7)
    batches = list(data.training_batches(3, 7, BATCH))
    torch.testing.assert_close(images, torch.cat([batch[0] for batch in batches]), rtol=0, atol=1e-5)
    assert torch.equal(labels, torch.cat([batch[1] for batch in batches]))
