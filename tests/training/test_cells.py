"""Every cell of Table 1 trains, and so do the classifiers that bound it."""

from pathlib import Path

import pytest
import torch

from stn_bench.cli.build import build
from stn_bench.data.sources import load_mnist
from stn_bench.results.spec import parse_spec
from stn_bench.tasks import Classification
from stn_bench.training.steps import train_steps

TABLE = Path(__file__).parents[2] / "configs/table/distorted_mnist.yaml"
SPEC = parse_spec(TABLE.read_text(), "distorted_mnist")


def cells(rows):
    """The choices that make each cell of some rows, each once."""
    matches = [row.match_in(column) for row in rows for column in SPEC.columns]
    chosen = [tuple(f"{group}={choice}" for group, choice in match.items() if choice) for match in matches]
    return list(dict.fromkeys(chosen))


CELLS = cells(row for row in SPEC.rows if any(row.published))
ORACLES = [(*cell, "data.undone=true") for cell in cells(row for row in SPEC.rows if row.match.get("tag") == "oracle")]
FLOORS = cells(row for row in SPEC.rows if row.spans)


@pytest.fixture(scope="module", autouse=True)
def mnist():
    """The real digits, read once."""
    digits = load_mnist()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("stn_bench.data.distorted.load_mnist", lambda folder: digits)
        yield


def test_table_1_has_32_cells_and_10_that_bound_them():
    assert (len(CELLS), len(ORACLES), len(FLOORS)) == (32, 8, 2)


@pytest.mark.parametrize("cell", [*CELLS, *ORACLES, *FLOORS], ids=" ".join)
def test_twenty_steps_of_64_digits_lower_the_loss(compose_config, cell):
    # in so few steps Muon, or the recipe's warm-up, would hardly move weights, and its lead would lose some localisers
    short = ("recipe.batch_size=64", "recipe/optimiser=adamw", "recipe.optimiser.lr=0.005")
    short += ("recipe.schedule.warmup=0.05", "recipe.localiser_lr_multiplier=1")
    config = compose_config(*cell, "recipe=smoke", *short)
    torch.manual_seed(config.seed)
    data = build(config.data, "data")
    model = build(config.model, "model", image_shape=data.image_shape, classes=data.classes)
    recipe = build(config.recipe, "recipe")
    optimiser = recipe.make_optimiser(model)
    schedule = recipe.make_schedule(optimiser, 20)
    batches = data.training_batches(config.seed, 0, recipe.batch_size)
    steps = train_steps(model, batches, Classification(), optimiser, schedule, recipe.precision, recipe.clip_norm)
    losses, reached = [], set()
    for _, step in zip(range(20), steps, strict=False):
        losses.append(step.loss)
        reached |= {
            name for name, weights in model.named_parameters() if weights.grad is not None and weights.grad.any()
        }
    assert torch.stack(losses[-5:]).mean() < torch.stack(losses[:5]).mean()
    assert reached == {name for name, _ in model.named_parameters()}
