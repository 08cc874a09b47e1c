"""Evaluation: every image once, in evaluation mode, and what each transformer did to it."""

import pytest
import torch
from torch import nn

from stn_bench.geometry import measure
from stn_bench.spatial_transformer import SpatialTransformer
from stn_bench.tasks import Classification
from stn_bench.training.evaluation import evaluate, look, watch_transformers
from stn_bench.transforms import Affine, Translation

TASK = Classification()


class Flag(nn.Module):
    """Passes its input on, and notes whether it was in training mode."""

    def __init__(self):
        super().__init__()
        self.modes = []

    def forward(self, images):
        self.modes.append(self.training)
        return images


@pytest.fixture
def moved(make_model):
    """A network whose transformer is not the identity, and not the same for all images."""
    model = make_model()
    nn.init.normal_(model.transformer.regression.weight, std=0.1, generator=torch.Generator().manual_seed(1))
    return model


def hooks(model):
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules())


def test_each_image_is_predicted_once_and_in_its_place(make_data, moved):
    data = make_data()
    images, labels = next(data.evaluation_batches(50))
    with torch.no_grad():
        logits = moved(images)
    found = evaluate(moved, data.evaluation_batches(20), TASK)  # 20, 20 and 10
    assert torch.equal(found.predictions, logits.argmax(1))
    assert torch.equal(found.labels, labels)
    assert found.images == 50
    assert found.errors == int((logits.argmax(1) != labels).sum())
    assert 0 < found.errors < 50
    assert found.error == found.errors / 50


def test_what_is_pictured_is_what_is_evaluated_and_nothing_is_learned_of_it(make_model, make_data):
    model = nn.Sequential(nn.BatchNorm2d(1), make_model(), flag := Flag())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    images, _ = next(make_data().evaluation_batches(12))
    pictured = look(model, images, "fp32")["1.transformer"]
    assert torch.equal(pictured.theta, evaluate(model, [(images, torch.zeros(12))], TASK).theta["1.transformer"])
    assert flag.modes == [False, False]
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_theta_is_what_the_transformer_predicts(make_data, moved):
    data = make_data()
    images, _ = next(data.evaluation_batches(50))
    theta = evaluate(moved, data.evaluation_batches(20), TASK).theta
    assert list(theta) == ["transformer"]
    torch.testing.assert_close(theta["transformer"], moved.transformer.theta(images).detach())
    assert theta["transformer"].std(dim=0).min() > 0.01


def test_the_statistics_of_a_warp_are_means_over_batches(make_data, moved):
    data = make_data()
    found = evaluate(moved, data.evaluation_batches(25), TASK).warp
    each = [measure.summary(moved.transformer.points(images).detach()) for images, _ in data.evaluation_batches(25)]
    assert found == {
        f"transformer/{name}": pytest.approx(sum(one[name] for one in each) / 2)
        for name in ("outside", "folded", "median_area")
    }
    assert found["transformer/outside"] > 0


def test_a_baseline_has_neither_theta_nor_statistics(make_data, make_model):
    found = evaluate(make_model(stn=False), make_data().evaluation_batches(25), TASK)
    assert (found.theta, found.warp) == ({}, {})


@pytest.mark.parametrize("training", [True, False])
def test_a_network_is_evaluated_in_evaluation_mode_and_left_as_it_was(make_data, make_model, training):
    flag = Flag()
    model = nn.Sequential(flag, frozen := nn.Sequential(nn.Identity()), make_model(stn=False)).train(training)
    frozen.eval()  # as the layers are whose statistics are to stay
    before = [module.training for module in model.modules()]
    evaluate(model, make_data().evaluation_batches(25), TASK)
    assert flag.modes == [False, False]
    assert [module.training for module in model.modules()] == before


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_theta_keeps_its_precision_whatever_the_classifiers(make_data, moved, precision):
    found = evaluate(moved, make_data().evaluation_batches(25), TASK, precision)
    assert found.theta["transformer"].dtype == torch.float32
    assert 0 < found.errors < 50


def test_no_images_are_no_evaluation(make_model):
    with pytest.raises(ValueError, match="there are no images to evaluate"):
        evaluate(make_model(), [], TASK)


def test_what_is_watched_is_what_happens(make_data, moved):
    images, _ = next(make_data().evaluation_batches(7))
    with watch_transformers(moved) as seen:
        moved(images)
    warped = seen["transformer"]
    assert torch.equal(warped.inputs, images)
    assert torch.equal(warped.theta, moved.transformer.theta(images))
    assert torch.equal(warped.points, moved.transformer.points(images))
    assert torch.equal(warped.outputs, moved.transformer(images))
    assert not any(tensor.requires_grad for tensor in warped)


def test_every_transformer_is_watched_by_its_place_in_the_network():
    def make(transform, name):
        return SpatialTransformer(nn.Flatten(), 16, transform, name=name)

    model = nn.Sequential(make(Affine(), "first"), nn.Sequential(make(Translation(), "second")))
    with watch_transformers(model) as seen:
        model(torch.rand(3, 1, 4, 4))
    assert {name: tuple(warped.theta.shape) for name, warped in seen.items()} == {"0": (3, 6), "1.0": (3, 2)}


def test_a_transformer_may_be_called_by_keyword():
    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.transformer = SpatialTransformer(nn.Flatten(), 16, Affine())

        def forward(self, images):
            return self.transformer(images=images)

    images = torch.rand(3, 1, 4, 4)
    with watch_transformers(model := Network()) as seen:
        model(images)
    assert torch.equal(seen["transformer"].inputs, images)


def test_a_network_that_is_a_transformer_goes_by_its_own_name():
    model = SpatialTransformer(nn.Flatten(), 16, Affine(), name="eye")
    with watch_transformers(model) as seen:
        model(torch.rand(3, 1, 4, 4))
    assert list(seen) == ["eye"]


def test_watching_leaves_no_hooks(make_data, moved):
    with watch_transformers(moved):
        assert hooks(moved) == 2
    assert hooks(moved) == 0
    evaluate(moved, make_data().evaluation_batches(25), TASK)
    assert hooks(moved) == 0


def test_watching_leaves_no_hooks_where_the_network_fails(moved):
    with pytest.raises(RuntimeError), watch_transformers(moved):
        moved(torch.rand(3, 1, 5, 5))
    assert hooks(moved) == 0
