"""One run: what it looks at and when, what it computes, and how it ends where it diverges."""

import itertools

import pytest
import torch

from stn_bench.data.distorted import DistortedDigits
from stn_bench.training import Recipe, StepDecay
from stn_bench.training import run as module
from stn_bench.training.divergence import Diverged
from stn_bench.training.run import run


class Watched(DistortedDigits):
    """Data that remember in which order they were looked at."""

    def __init__(self, *arguments, **settings):
        super().__init__(*arguments, **settings)
        self.looks = []

    def training_batches(self, *arguments):
        for batch in super().training_batches(*arguments):
            self.looks.append("train")
            yield batch

    def evaluation_batches(self, *arguments):
        self.looks.append("evaluate")
        return super().evaluation_batches(*arguments)

    def examples(self, *arguments):
        self.looks.append("picture")
        return super().examples(*arguments)


class Poison(torch.optim.SGD):
    """Plain SGD, but for one step after which no weight is a number."""

    def __init__(self, groups, lr, after):
        super().__init__(groups, lr=lr)
        self.after, self.done = after, 0

    def step(self, closure=None):
        super().step(closure)
        self.done += 1
        if self.done == self.after:
            for group in self.param_groups:
                for parameter in group["params"]:
                    parameter.data.fill_(torch.nan)


def poisonous(after, **settings):
    return Recipe(lambda groups: Poison(groups, lr=0.01, after=after), StepDecay(1000, 0.1), batch_size=64, **settings)


def state(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(one, other):
    assert one.keys() == other.keys()
    return all(torch.equal(one[name], other[name]) for name in one)


def test_test_digits_are_looked_at_once_and_only_after_training(make_data, make_model, make_recipe, notes):
    data = make_data(Watched)
    run(make_model(), data, make_recipe(epochs=3), 1, notes)
    assert data.evaluated_on == "test"
    assert [look for look, _ in itertools.groupby(data.looks)] == ["train", "evaluate", "picture"]
    assert data.looks.count("evaluate") == 1
    assert list(notes.numbers["test/error"]) == [30]
    assert "validation/error" not in notes.numbers


def test_held_out_digits_are_looked_at_after_each_epoch(make_data, make_model, make_recipe, notes):
    data = make_data(Watched, validation=64)  # nine batches are left
    outcome = run(make_model(), data, make_recipe(epochs=3), 1, notes)
    looks = [look for look, _ in itertools.groupby(data.looks)]
    assert looks == ["train", "evaluate", "train", "evaluate", "train", "evaluate", "picture"]
    assert list(notes.numbers["validation/error"]) == [9, 18, 27]
    assert notes.numbers["validation/error"][27] == outcome.evaluation.error
    assert "test/error" not in notes.numbers
    assert len(outcome.evaluation.predictions) == 64


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_network_learns(make_data, make_model, make_recipe, notes, precision):
    # with SGD, whether the transformer helps in so few steps hangs on rounding
    recipe = make_recipe(lr=0.01, optimiser=torch.optim.AdamW, epochs=5, precision=precision)
    outcome = run(make_model(), make_data(), recipe, 1, notes)
    losses = list(notes.numbers["train/loss"].values())
    assert losses[-1] < 0.5 * losses[0]
    assert outcome.evaluation.error < 0.5
    assert outcome.evaluation.theta["transformer"].shape == (50, 6)
    assert outcome.examples["transformer"].inputs.shape[1:] == (1, 28, 28)


def test_an_outcome_counts_what_was_done(make_data, make_model, make_recipe, notes):
    outcome = run(make_model(), make_data(), make_recipe(steps=13), 1, notes)
    assert (outcome.steps, outcome.epochs, outcome.images_seen) == (13, 1.3, 13 * 64)
    assert outcome.seconds > 0
    assert notes.count == 13
    assert list(notes.numbers["train/loss"]) == [10, 13]
    assert [line.split("  ")[0] for line in notes.lines] == ["epoch 1/2", "epoch 2/2"]


def test_what_an_epoch_tells_are_means_over_its_steps(make_data, make_model, make_recipe, notes):
    data, recipe = make_data(), make_recipe(steps=1)
    model = make_model()
    images, labels = next(data.training_batches(1, 0, 64))
    logits = model(images).detach()
    run(model, data, recipe, 1, notes)
    assert notes.numbers["train/loss"][1] == pytest.approx(float(torch.nn.functional.cross_entropy(logits, labels)))
    assert notes.numbers["train/error"][1] == pytest.approx(float((logits.argmax(1) != labels).float().mean()))


def test_the_same_seed_gives_the_same_weights_to_the_last_bit(make_data, make_model, make_recipe, notes):
    first, second = (run(make_model(), make_data(), make_recipe(steps=13), 1, notes) for _ in range(2))
    assert same(first.model.state_dict(), second.model.state_dict())
    assert torch.equal(first.evaluation.theta["transformer"], second.evaluation.theta["transformer"])


def test_another_seed_draws_other_batches(make_data, make_model, make_recipe, notes):
    first, second = (run(make_model(), make_data(), make_recipe(steps=3), seed, notes) for seed in (1, 2))
    assert not same(first.model.state_dict(), second.model.state_dict())


def test_averaged_weights_are_the_ones_evaluated(make_data, make_model, make_recipe, notes):
    after_one, after_two = (
        state(run(make_model(), make_data(), make_recipe(steps=steps), 1, notes).model) for steps in (1, 2)
    )
    model, data = make_model(), make_data()
    outcome = run(model, data, make_recipe(steps=2, average_decay=0.75), 1, notes)
    assert same(model.state_dict(), after_two)
    for name, average in outcome.model.state_dict().items():
        torch.testing.assert_close(average, 0.75 * after_one[name] + 0.25 * after_two[name])
    images, _ = next(data.evaluation_batches(50))
    with torch.no_grad():
        assert torch.equal(outcome.evaluation.predictions, outcome.model(images).argmax(1))


def test_held_out_digits_judge_the_averaged_weights(make_data, make_model, make_recipe, notes, monkeypatch):
    evaluated = []
    original = module.evaluate
    monkeypatch.setattr(module, "evaluate", lambda model, *rest: evaluated.append(model) or original(model, *rest))
    data = make_data(validation=64)
    outcome = run(make_model(), data, make_recipe(epochs=2, average_decay=0.9), 1, notes)
    assert len(evaluated) == 3
    assert all(model is outcome.model for model in evaluated)


def test_the_learning_rate_falls_as_the_schedule_says(make_data, make_model, make_recipe, notes):
    run(make_model(), make_data(), make_recipe(lr=0.1, epochs=3, schedule=StepDecay(10, 0.5)), 1, notes)
    assert notes.numbers["train/learning_rate"] == pytest.approx({10: 0.1, 20: 0.05, 30: 0.025})


def test_a_long_run_draws_some_ten_pictures_and_one_at_its_end(make_data, make_model, make_recipe, notes):
    run(make_model(), make_data(), make_recipe(epochs=25), 1, notes)
    assert [step for step, _ in notes.pictures] == [*range(10, 251, 30)]
    assert [step for step, _ in notes.warps] == [*range(10, 251, 10)]
    assert {name for _, name in notes.pictures + notes.warps} == {"transformer"}


def test_a_loss_that_is_no_number_ends_the_run_with_advice(make_data, make_model, make_recipe, notes):
    advice = r"the loss is (nan|inf); lower recipe.optimiser.lr, set recipe.clip_norm=1, or use recipe.precision=fp32"
    with pytest.raises(Diverged, match=f"^diverged between steps 10 and 20: {advice}$"):
        run(make_model(stn=False), make_data(), poisonous(after=13, epochs=3), 1, notes)
    assert list(notes.numbers["train/loss"]) == [10]


def test_a_learning_rate_that_is_far_too_large_diverges(make_data, make_model, make_recipe, notes):
    with pytest.raises(Diverged, match="diverged between steps 0 and 5: the loss is"):
        run(make_model(stn=False), make_data(), make_recipe(lr=1e30), 1, notes)


def test_theta_that_is_no_number_ends_the_run_with_layer_step_and_advice(make_data, make_model, notes):
    with pytest.raises(Diverged, match=r"^diverged at step 13: theta of 'transformer' is not finite .*: lower its lea"):
        run(make_model(), make_data(), poisonous(after=13, epochs=3), 1, notes)


@pytest.mark.parametrize("stn", [True, False])
def test_the_last_steps_weights_are_looked_at_too(make_data, make_model, notes, stn):
    with pytest.raises(Diverged, match="diverged between steps 0 and 5: weights are not finite; lower"):
        run(make_model(stn=stn), make_data(), poisonous(after=5, steps=5), 1, notes)
