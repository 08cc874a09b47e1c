"""Recipes: schedules as arithmetic, learning rates where they belong, and values that make no sense."""

import itertools
from functools import partial

import pytest
import torch

from stn_bench.cli.build import build
from stn_bench.training import Recipe, StepDecay, WarmupCosine
from stn_bench.training.recipe import RecipeError

OPTIMISER = partial(torch.optim.SGD, lr=0.1)
SCHEDULE = StepDecay(1000, 0.1)


@pytest.mark.parametrize(
    ("step", "rate"),
    [(0, 0.01), (49_999, 0.01), (50_000, 0.001), (99_999, 0.001), (100_000, 0.0001), (149_999, 0.0001)],
)
def test_the_papers_learning_rate_falls_to_a_tenth_twice(compose_config, make_model, step, rate):
    recipe = build(compose_config("recipe=paper").recipe, "recipe")
    steps = recipe.total_steps(60_000)
    groups = recipe.make_optimiser(make_model()).param_groups
    assert steps == 150_000
    assert [group["lr"] * recipe.schedule(step, steps) for group in groups] == pytest.approx([rate, rate])


def test_a_warm_up_rises_to_the_full_rate_and_half_a_cosine_falls_to_nothing():
    factors = [WarmupCosine(0.05)(step, 1000) for step in range(1001)]
    assert factors[:51] == pytest.approx([*((step + 1) / 50 for step in range(50)), 1.0])
    assert factors[50 + 475] == pytest.approx(0.5)
    assert factors[1000] == pytest.approx(0)
    assert all(later < earlier for earlier, later in itertools.pairwise(factors[50:]))


def test_a_warm_up_is_no_step_longer_for_the_way_its_share_is_rounded():
    assert [WarmupCosine(0.07)(step, 100) for step in (5, 6, 7)] == pytest.approx([6 / 7, 1, 1])


def test_without_a_warm_up_the_first_step_has_the_full_rate():
    assert WarmupCosine(0.0)(0, 10) == 1


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 20])
def test_no_step_of_a_short_run_is_lost_to_the_warm_up(steps):
    factors = [WarmupCosine(0.05)(step, steps) for step in range(steps)]
    assert factors[0] == 1
    assert min(factors) > 0


def test_the_multiplier_reaches_localiser_and_regression_and_nothing_else(make_model, make_recipe):
    model = make_model()
    optimiser = make_recipe(lr=0.1, localiser_lr_multiplier=0.01).make_optimiser(model)
    rate_of = {id(p): group["lr"] for group in optimiser.param_groups for p in group["params"]}
    rates = {name: rate_of.pop(id(parameter)) for name, parameter in model.named_parameters()}
    slow = {name for name in rates if name.startswith(("transformer.localiser.", "transformer.regression."))}
    assert rates == {name: pytest.approx(0.001 if name in slow else 0.1) for name in rates}
    assert len(slow) == 4
    assert not rate_of


def test_the_multiplier_holds_along_the_schedule(make_model, make_recipe):
    optimiser = make_recipe(lr=0.1, localiser_lr_multiplier=0.01).make_optimiser(make_model())
    schedule = make_recipe(schedule=StepDecay(1, 0.5)).make_schedule(optimiser, 9)
    optimiser.step()
    schedule.step()
    assert [group["lr"] for group in optimiser.param_groups] == pytest.approx([0.05, 0.0005])


def test_localisers_may_have_a_schedule_of_their_own(make_model, make_recipe):
    recipe = make_recipe(lr=0.1, schedule=StepDecay(1, 0.5), localiser_schedule=StepDecay(2, 0.1))
    model = make_model()
    optimiser = recipe.make_optimiser(model)
    schedule = recipe.make_schedule(optimiser, 9)
    found = []
    for _ in range(4):
        rate_of = {id(p): group["lr"] for group in optimiser.param_groups for p in group["params"]}
        found.append(
            [rate_of[id(model.transformer.regression.weight)], rate_of[id(next(model.classifier.parameters()))]]
        )
        optimiser.step()
        schedule.step()
    expected = [[0.1, 0.1], [0.1, 0.05], [0.01, 0.025], [0.01, 0.0125]]
    assert found == [pytest.approx(rates) for rates in expected]


def test_no_factor_is_asked_for_beyond_the_last_step(make_model, make_recipe):
    table = [1.0, 0.5, 0.25]
    recipe = make_recipe(lr=0.1, schedule=lambda step, steps: table[step])
    optimiser = recipe.make_optimiser(make_model(stn=False))
    schedule = recipe.make_schedule(optimiser, len(table))
    found = []
    for _ in table:
        found.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
    assert found == pytest.approx([0.1, 0.05, 0.025])


@pytest.mark.parametrize("name", ["schedule", "localiser_schedule"])
@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        (partial(torch.optim.lr_scheduler.CosineAnnealingLR, T_max=9), r"0 of 9 \(TypeError: "),
        (lambda step: 1.0, r"0 of 9 \(TypeError: "),
        (lambda step, steps: None, r"0 of 9 \(TypeError: "),
        (lambda step, steps: [1.0, 0.5][step], r"8 of 9 \(IndexError: list index out of range\)"),
    ],
    ids=["torch's", "of one argument", "of nothing", "too short"],
)
def test_a_schedule_without_a_factor_for_each_step_is_refused(make_model, make_recipe, name, schedule, words):
    recipe = make_recipe(**{name: schedule})
    optimiser = recipe.make_optimiser(make_model())
    with pytest.raises(RecipeError, match=rf"^recipe\.{name} has no factor on the learning rate for step {words}"):
        recipe.make_schedule(optimiser, 9)


def test_localisers_may_decay_otherwise(make_model, make_recipe):
    def decays(**settings):
        recipe = make_recipe(optimiser=partial(torch.optim.AdamW, weight_decay=0.3), **settings)
        return [group["weight_decay"] for group in recipe.make_optimiser(make_model()).param_groups]

    assert decays() == [0.3, 0.3]
    assert decays(localiser_weight_decay=0.0) == [0.3, 0]


def test_a_decay_that_the_optimiser_does_not_have_is_refused(make_model, make_recipe):
    recipe = make_recipe(optimiser=torch.optim.Rprop, localiser_weight_decay=0.0)
    with pytest.raises(RecipeError, match="asks for what Rprop does not have: leave it out, or choose"):
        recipe.make_optimiser(make_model())


def test_an_optimiser_that_forgets_what_its_groups_say_is_refused(make_model, make_recipe):
    class Forgetful(torch.optim.SGD):
        def __init__(self, groups, lr):
            super().__init__([parameter for group in groups for parameter in group["params"]], lr)

    with pytest.raises(RecipeError, match=r"without the key 'localiser', .* have Forgetful keep the keys of the"):
        make_recipe(optimiser=Forgetful).make_optimiser(make_model())


def test_a_model_without_a_transformer_is_one_group(make_model, make_recipe):
    optimiser = make_recipe(localiser_lr_multiplier=0.01).make_optimiser(make_model(stn=False))
    assert [group["lr"] for group in optimiser.param_groups] == [0.1]


def test_epochs_are_whole_batches_and_steps_are_steps():
    assert Recipe(OPTIMISER, SCHEDULE, epochs=3, batch_size=64).total_steps(650) == 3 * 10
    assert Recipe(OPTIMISER, SCHEDULE, steps=7, batch_size=64).total_steps(650) == 7


def test_a_batch_needs_that_many_images():
    with pytest.raises(
        RecipeError, match=r"63 training images do not fill one batch: set recipe.batch_size to at most"
    ):
        Recipe(OPTIMISER, SCHEDULE, steps=7, batch_size=64).total_steps(63)


def test_a_schedule_is_something_to_call():
    for name in ("schedule", "localiser_schedule"):
        with pytest.raises(RecipeError, match=rf"recipe.{name}='cosine' is not a schedule: name one in its _target_"):
            Recipe(OPTIMISER, **({"schedule": SCHEDULE} | {name: "cosine"}), epochs=1)


@pytest.mark.parametrize("lengths", [{}, {"epochs": 3, "steps": 7}])
def test_a_recipe_lasts_epochs_or_steps(lengths):
    with pytest.raises(RecipeError, match="give one and set the other to null"):
        Recipe(OPTIMISER, SCHEDULE, **lengths)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("steps", 0),
        ("steps", 2.5),
        ("batch_size", -1),
        ("batch_size", "many"),
        ("precision", "fp16"),
        ("average_decay", 1),
        ("average_decay", 0),
        ("average_decay", "much"),
        ("clip_norm", 0),
        ("clip_norm", -1.0),  # would turn gradients round
        ("label_smoothing", 1),
        ("label_smoothing", None),
        ("localiser_lr_multiplier", -0.1),
        ("localiser_lr_multiplier", "low"),
        ("localiser_weight_decay", -0.1),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_by_key_and_value(key, value):
    with pytest.raises(RecipeError, match=rf"^recipe\.{key}={value!r} is not "):
        Recipe(OPTIMISER, SCHEDULE, **{"steps": 7, key: value})


def test_a_word_in_place_of_an_optimiser_is_answered_with_the_slash():
    with pytest.raises(
        RecipeError, match="'adamw' is not an optimiser: choose one with a slash, recipe/optimiser=adam"
    ):
        Recipe("adamw", SCHEDULE, steps=7)


def test_a_number_in_place_of_a_schedule_is_refused():
    with pytest.raises(RecipeError, match=r"recipe\.schedule=0\.1 is not a schedule"):
        Recipe(OPTIMISER, 0.1, steps=7)


@pytest.mark.parametrize("warmup", [1, -0.1, "long"])
def test_a_warm_up_is_a_share_of_the_run(warmup):
    with pytest.raises(RecipeError, match=f"warmup={warmup!r} is not a share"):
        WarmupCosine(warmup)


@pytest.mark.parametrize("every", [0, 2.5])
def test_a_decay_comes_every_so_many_steps(every):
    with pytest.raises(RecipeError, match=f"every={every} is not a whole number"):
        StepDecay(every, 0.1)


@pytest.mark.parametrize("factor", [-0.1, float("nan")])
def test_a_decay_never_turns_the_learning_rate_around(factor):
    with pytest.raises(RecipeError, match=f"factor={factor} is not a number from 0"):
        StepDecay(1, factor)


@pytest.mark.parametrize("lr", [-1, "fast"])
def test_what_an_optimiser_refuses_is_the_recipes_fault(make_model, make_recipe, lr):
    with pytest.raises(RecipeError, match=r"recipe\.optimiser cannot be built: "):
        make_recipe(lr=lr).make_optimiser(make_model())
