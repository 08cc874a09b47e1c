"""Every cell of Table 1 trains."""

from pathlib import Path

import pytest
import torch
from torch.optim.lr_scheduler import LambdaLR

from stn_bench.cli.build import build
from stn_bench.data.sources import load_mnist
from stn_bench.results.spec import parse_spec
from stn_bench.tasks import Classification
from stn_bench.training.steps import train_steps

TABLE = Path(__file__).parents[2] / "configs/table/distorted_mnist.yaml"
SPEC = parse_spec(TABLE.read_text(), "distorted_mnist")
CELLS = [
    [f"{group}={choice}" for group, choice in {**column.match, **row.match}.items() if choice is not None]
    for row in SPEC.rows
    for column in SPEC.columns
]


@pytest.fixture(scope="module", autouse=True)
def mnist():
    """The real digits, read once."""
    digits = load_mnist()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("stn_bench.data.distorted.load_mnist", lambda folder: digits)
        yield


def test_table_1_has_32_cells():
    assert len(CELLS) == 32


@pytest.mark.parametrize("cell", CELLS, ids=" ".join)
def test_twenty_steps_of_64_digits_lower_the_loss(compose_config, cell):
    config = compose_config(*cell, "recipe=smoke", "recipe.batch_size=64", "recipe.optimiser.lr=0.005")
    torch.manual_seed(config.seed)
    data = build(config.data, "data")
    model = build(config.model, "model", image_shape=data.image_shape, classes=data.classes)
    recipe = build(config.recipe, "recipe")
    optimiser = recipe.make_optimiser(model)
    schedule = LambdaLR(optimiser, lambda step: recipe.schedule(step, 20))
    batches = data.training_batches(config.seed, 0, recipe.batch_size)
    steps = train_steps(model, batches, Classification(), optimiser, schedule, recipe.precision, recipe.clip_norm)
    losses = torch.stack([step.loss for _, step in zip(range(20), steps, strict=False)])
    assert losses[-5:].mean() < losses[:5].mean()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, f"nothing reaches {name}"
        assert parameter.grad.abs().sum() > 0, f"nothing reaches {name}"
