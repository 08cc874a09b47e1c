import copy
import math
from functools import partial

import pytest
import torch
from torch import nn

from stn_bench import transforms
from stn_bench.models import (
    CNN,
    FCN,
    ConvolutionalLocaliser,
    FullyConnectedLocaliser,
    TransformedClassifier,
    parameter_count,
    widest,
)

SMALL, LARGE = (1, 28, 28), (1, 42, 42)
TRANSFORMS = [transforms.Affine, transforms.Projective, transforms.ThinPlateSpline]
CLASSIFIERS = {FCN: (FullyConnectedLocaliser, "units"), CNN: (ConvolutionalLocaliser, "filters")}


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(1)


def behind_a_transformer(kind, transform, image_shape, **widths):
    localiser, _ = CLASSIFIERS[kind]
    return TransformedClassifier(image_shape, 10, localiser, transform(), partial(kind, **widths))


def leaves(network):
    """The layers that do something, in their order."""
    return [module for module in network.modules() if not list(module.children())]


def shapes(network):
    return {name: tuple(parameter.shape) for name, parameter in network.named_parameters()}


# The paper's layers


def test_fcn_has_two_hidden_layers_and_a_classification_layer():
    layers = leaves(FCN(SMALL, 10, units=7))
    assert [type(layer) for layer in layers] == [nn.Flatten, nn.Linear, nn.ReLU, nn.Linear, nn.ReLU, nn.Linear]
    assert shapes(FCN(SMALL, 10, units=7)) == {
        "1.weight": (7, 784), "1.bias": (7,), "3.weight": (7, 7), "3.bias": (7,), "5.weight": (10, 7), "5.bias": (10,),
    }  # fmt: skip


# 28: 28 - 9 + 1 = 20, pooled 10, - 7 + 1 = 4, pooled 2. 21 (RTS, pooled from 42), as it is: 13, pooled 7, 1, pooled 1
@pytest.mark.parametrize(("side", "min_size", "left"), [(28, 28, 2), (42, 28, 6), (21, 28, 2), (21, 21, 1)])
def test_cnn_has_convolutions_of_9_and_7_pixels_and_a_classification_layer(side, min_size, left):
    assert shapes(CNN((1, side, side), 10, filters=5, min_size=min_size)) == {
        "conv1.weight": (5, 1, 9, 9), "conv1.bias": (5,), "conv2.weight": (5, 5, 7, 7), "conv2.bias": (5,),
        "classify.weight": (10, 5 * left**2), "classify.bias": (10,),
    }  # fmt: skip


def test_the_fully_connected_localiser_has_three_layers_of_32():
    localiser = FullyConnectedLocaliser(SMALL)
    assert [type(layer) for layer in leaves(localiser)] == [nn.Flatten] + 3 * [nn.Linear, nn.ReLU]
    assert [tuple(parameter.shape) for parameter in localiser.parameters()][::2] == [(32, 784), (32, 32), (32, 32)]
    assert localiser.features == 32


# 28: down-sampled 14, - 5 + 1 = 10, pooled 5, - 5 + 1 = 1. 42: 21, 17, 8, 4
@pytest.mark.parametrize(("side", "left"), [(28, 1), (42, 4)])
def test_the_convolutional_localiser_has_two_convolutions_of_20_and_a_layer_of_20(side, left):
    localiser = ConvolutionalLocaliser((1, side, side))
    assert shapes(localiser) == {
        "conv1.weight": (20, 1, 5, 5), "conv1.bias": (20,), "conv2.weight": (20, 20, 5, 5), "conv2.bias": (20,),
        "connect.weight": (20, 20 * left**2), "connect.bias": (20,),
    }  # fmt: skip
    assert localiser.features == 20


def test_layers_can_be_sliced_as_any_others():
    image = torch.rand(2, 1, 28, 28)
    for network in (FCN((1, 28, 28), 10, units=7), FullyConnectedLocaliser((1, 28, 28))):
        before = network[:-1]
        assert torch.equal(network[-1](before(image)), network(image))
        assert list(before.state_dict()) == list(network.state_dict())[: len(before.state_dict())]


def test_localisers_are_as_wide_as_asked_for():
    assert FullyConnectedLocaliser(SMALL, units=(5, 9)).features == 9
    localiser = ConvolutionalLocaliser(SMALL, filters=3, features=4)
    assert localiser.features == 4
    assert localiser.conv2.weight.shape == (3, 3, 5, 5)


@pytest.mark.parametrize("make", [FullyConnectedLocaliser, ConvolutionalLocaliser])
def test_localisers_may_start_with_features_as_large_as_their_images(make):
    torch.manual_seed(1)
    images = torch.rand(64, *SMALL)
    of_image = images.square().mean()
    he, torch_s = (
        torch.stack([make(SMALL, initialisation=name)(images).square().mean() for _ in range(20)]).median()
        for name in ("he", "torch")
    )
    assert of_image / 4 < he < of_image * 4
    assert torch_s < of_image / 10


@pytest.mark.parametrize("make", [FullyConnectedLocaliser, ConvolutionalLocaliser])
def test_localisers_start_as_the_library_draws_them(make):
    torch.manual_seed(1)
    layer = next(layer for layer in make(SMALL).modules() if hasattr(layer, "weight"))
    torch.manual_seed(1)
    fresh = copy.deepcopy(layer)
    fresh.reset_parameters()
    assert torch.equal(layer.weight, fresh.weight)
    assert torch.equal(layer.bias, fresh.bias)


def test_an_unknown_initialisation_is_refused():
    with pytest.raises(ValueError, match="initialisation='xavier' is not known: use he or torch"):
        FullyConnectedLocaliser(SMALL, initialisation="xavier")


# What the layers compute, against the plainest way to write it


def assert_same_with_gradients(network, plain, images):
    images = images.clone().requires_grad_()
    gradients = []
    for compute in (network, plain):
        result = compute(images)
        result.square().sum().backward()
        gradients.append([images.grad.clone(), *(parameter.grad.clone() for parameter in network.parameters())])
        images.grad = None
        network.zero_grad()
    torch.testing.assert_close(network(images), plain(images), rtol=0, atol=1e-5)
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(28, 28), (21, 21), (28, 42)], ids=str)
def test_cnn_pools_before_the_relu_with_the_result_of_the_relu_before_the_pooling(channels, size):
    network = CNN((channels, *size), 10, filters=6)
    pool = nn.MaxPool2d(2, ceil_mode=True)

    def as_the_paper_has_it(images):
        below = [max(0, 28 - side) for side in images.shape[2:]]
        images = nn.functional.pad(
            images, (below[1] // 2, below[1] - below[1] // 2, below[0] // 2, below[0] - below[0] // 2)
        )
        features = nn.functional.conv2d(images, network.conv1.weight, network.conv1.bias)
        features = pool(features.relu())
        features = pool(nn.functional.conv2d(features, network.conv2.weight, network.conv2.bias).relu())
        return nn.functional.linear(features.flatten(1), network.classify.weight, network.classify.bias)

    assert_same_with_gradients(network, as_the_paper_has_it, torch.rand(4, channels, *size))


@pytest.mark.parametrize("shape", [SMALL, LARGE, (2, 30, 43)], ids=str)
def test_the_convolutional_localiser_downsamples_convolves_pools_convolves_and_connects(shape):
    localiser = ConvolutionalLocaliser(shape)

    def plain(images):
        features = nn.functional.avg_pool2d(images, 2)
        features = nn.functional.conv2d(features, localiser.conv1.weight, localiser.conv1.bias).relu()
        features = nn.functional.max_pool2d(features, 2)
        features = nn.functional.conv2d(features, localiser.conv2.weight, localiser.conv2.bias).relu()
        return localiser.connect(features.flatten(1)).relu()

    assert_same_with_gradients(localiser, plain, torch.rand(4, *shape))


@pytest.mark.parametrize("kind", [FCN, CNN])
@pytest.mark.parametrize("shape", [SMALL, LARGE], ids=str)
def test_the_classifier_gets_the_transformed_image(kind, shape):
    model = behind_a_transformer(kind, transforms.Translation, shape)
    images = torch.rand(3, *shape)
    with torch.no_grad():
        model.transformer.regression.bias.fill_(4)  # it looks two frames away, where all is black
    black = model.classifier(torch.zeros(3, 1, 28, 28) if shape == SMALL else torch.zeros(3, 1, 21, 21))
    torch.testing.assert_close(model(images), black, rtol=0, atol=1e-6)
    model.transformer.reset_to_identity()
    seen = images if shape == SMALL else nn.functional.avg_pool2d(images, 2)
    torch.testing.assert_close(model(images), model.classifier(seen), rtol=0, atol=1e-4)
    assert (model(images) - black).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("shape", "above", "pooled"), [(SMALL, 28, False), (SMALL, 27, True), (LARGE, 28, True), (LARGE, 42, False)]
)
def test_only_canvases_above_the_limit_are_pooled(shape, above, pooled):
    model = TransformedClassifier(shape, 10, FullyConnectedLocaliser, transforms.Affine(), FCN, pool_above=above)
    side = shape[1] // 2 if pooled else shape[1]
    assert model.classifier[1].in_features == side**2
    assert model(torch.rand(2, *shape)).shape == (2, 10)


@pytest.mark.parametrize(
    ("shape", "output_size", "made", "seen"), [(LARGE, None, 42, 21), (LARGE, 56, 56, 28), (SMALL, 56, 28, 28)]
)
def test_what_a_transformer_makes_of_larger_canvases_may_have_a_size_of_its_own(shape, output_size, made, seen):
    build = partial(TransformedClassifier, shape, 10, FullyConnectedLocaliser, transforms.Affine(), FCN)
    model = build(output_size=output_size)
    assert model.transformer(torch.rand(2, *shape)).shape == (2, 1, made, made)
    assert model.classifier[1].in_features == seen**2
    assert model(torch.rand(2, *shape)).shape == (2, 10)


def test_kernel_and_padding_reach_the_transformer():
    model = TransformedClassifier(
        SMALL, 10, FullyConnectedLocaliser, transforms.Affine(), FCN, kernel="nearest", padding="border"
    )
    assert (model.transformer.kernel, model.transformer.padding) == ("nearest", "border")


@pytest.mark.parametrize("kind", [FCN, CNN])
def test_every_weight_of_a_transformed_classifier_learns_once_it_moves(kind):
    model = behind_a_transformer(kind, transforms.ThinPlateSpline, LARGE, **{CLASSIFIERS[kind][1]: 8})
    nn.init.normal_(model.transformer.regression.weight, std=0.01)
    nn.functional.cross_entropy(model(torch.rand(8, *LARGE)), torch.arange(8)).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad.abs().max() > 0, name


# Budgets: what Table 1 compares has the same number of parameters everywhere

CELLS = {
    f"{kind.__name__}-{getattr(transform, '__name__', None)}-{shape[1]}": (kind, transform, shape)
    for kind in CLASSIFIERS
    for transform in (None, *TRANSFORMS)
    for shape in (SMALL, LARGE)
}


def build(kind, transform, shape, **widths):
    return kind(shape, 10, **widths) if transform is None else behind_a_transformer(kind, transform, shape, **widths)


@pytest.mark.parametrize(("kind", "transform", "shape"), CELLS.values(), ids=CELLS.keys())
def test_every_model_uses_its_budget_and_the_next_width_is_above_it(kind, transform, shape):
    model = build(kind, transform, shape)
    assert 390_000 < parameter_count(model) <= 400_000
    with torch.device("meta"):
        wider = build(kind, transform, shape, **{CLASSIFIERS[kind][1]: model.width + 1})
    assert parameter_count(wider) > 400_000
    assert model(torch.rand(2, *shape)).shape == (2, 10)


@pytest.mark.parametrize(("kind", "transform", "shape"), CELLS.values(), ids=CELLS.keys())
def test_a_width_that_is_asked_for_overrides_the_budget(kind, transform, shape):
    model = build(kind, transform, shape, **{CLASSIFIERS[kind][1]: 11})
    assert model.width == 11
    first = next(p for name, p in model.named_parameters() if "transformer" not in name)
    assert first.shape[0] == 11


@pytest.mark.parametrize("kind", [FCN, CNN])
@pytest.mark.parametrize("budget", [30_000, 123_456, 1_000_000])
def test_the_transformer_is_paid_for_from_the_budget(kind, budget):
    model = TransformedClassifier(SMALL, 10, CLASSIFIERS[kind][0], transforms.Affine(), kind, parameters_budget=budget)
    assert parameter_count(model) <= budget
    alone = kind(SMALL, 10, parameters_budget=budget - parameter_count(model.transformer))
    assert model.width == alone.width
    assert model.width < kind(SMALL, 10, parameters_budget=budget).width


def test_a_classifier_needs_no_width_of_its_own():
    def classifier(image_shape, classes, parameters_budget):
        return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(image_shape), classes))

    network = TransformedClassifier((1, 28, 28), 10, ConvolutionalLocaliser, transforms.Affine(), classifier)
    assert network(torch.rand(2, 1, 28, 28)).shape == (2, 10)
    assert network.width is None


def test_only_what_is_trained_is_counted():
    layer = nn.Linear(3, 5)
    assert parameter_count(layer) == 20
    layer.bias.requires_grad_(False)
    assert parameter_count(layer) == 15


@pytest.mark.parametrize("budget", [2, 3, 10, 1000, 1001, 123_457])
def test_the_widest_is_the_largest_width_that_fits(budget):
    width = widest(lambda units: nn.Linear(1, units), budget)  # 2 parameters a unit
    assert width == budget // 2


def test_searching_for_a_width_takes_no_memory_and_no_random_numbers():
    seen = []

    def build(width):
        layer = nn.Linear(1, width)
        seen.append(layer.weight.is_meta)
        return layer

    before = torch.random.get_rng_state()
    assert widest(build, 10**15) == 10**15 // 2
    assert all(seen)
    assert torch.equal(torch.random.get_rng_state(), before)


# What cannot be built says so


@pytest.mark.parametrize("kind", [FCN, CNN])
def test_a_budget_too_small_for_one_unit_is_refused(kind):
    with pytest.raises(
        ValueError, match=r"a budget of 50 parameters is too small for width 1: raise model\.parameters"
    ):
        kind(SMALL, 10, parameters_budget=50)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda width: FCN(SMALL, 10, units=width), "units"),
        (lambda width: CNN(SMALL, 10, filters=width), "filters"),
        (lambda width: FullyConnectedLocaliser(SMALL, units=[8, width]), "units"),
        (lambda width: ConvolutionalLocaliser(SMALL, filters=width), "filters"),
        (lambda width: ConvolutionalLocaliser(SMALL, features=width), "features"),
    ],
)
@pytest.mark.parametrize("width", [0, -3])
def test_a_layer_without_a_unit_is_refused(make, name, width):
    with pytest.raises(ValueError, match=f"^{name}={width} leaves a layer empty: give 1 or more$"):
        make(width)
    make(1)


def test_a_budget_of_the_classifiers_own_would_count_for_nothing_and_is_refused():
    def make(budget):
        own = partial(FCN, parameters_budget=budget)
        return TransformedClassifier(SMALL, 10, FullyConnectedLocaliser, transforms.Affine(), own)

    with pytest.raises(ValueError, match=r"classifier\.parameters_budget=1000 would count for nothing"):
        make(1000)
    assert make(400_000).width == make(400_000.0).width


def test_a_budget_that_the_transformer_uses_up_is_refused():
    with pytest.raises(ValueError, match=r"too small for width 1: .* or make the transformer's localiser smaller"):
        TransformedClassifier(SMALL, 10, FullyConnectedLocaliser, transforms.Affine(), FCN, parameters_budget=20_000)


@pytest.mark.parametrize("size", [(8, 28), (28, 8), (20, 20)], ids=str)
def test_images_too_small_for_the_convolutions_are_refused(size):
    with pytest.raises(ValueError, match=rf"images of \({size[0]}, {size[1]}\) pixels are too small for convolutions"):
        CNN((1, *size), 10, min_size=1)


def test_the_smallest_image_that_the_convolutions_take_is_21_pixels_wide():
    assert CNN((1, 21, 21), 10, filters=2, min_size=1)(torch.rand(2, 1, 21, 21)).shape == (2, 10)


@pytest.mark.parametrize("size", [(21, 21), (3, 30), (28, 27)], ids=str)
def test_a_cnn_surrounds_smaller_images_by_zeros(size):
    network, images = CNN((1, *size), 10, filters=2), torch.rand(2, 1, *size)
    height, width = (max(28, side) for side in size)
    canvas = torch.zeros(2, 1, height, width)
    top, left = (height - size[0]) // 2, (width - size[1]) // 2
    canvas[:, :, top : top + size[0], left : left + size[1]] = images
    same = CNN((1, height, width), 10, filters=2)
    same.load_state_dict(network.state_dict())
    torch.testing.assert_close(network(images), same(canvas), rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", [(27, 28), (28, 27), (3, 3)], ids=str)
def test_images_too_small_for_the_localiser_are_refused(size):
    with pytest.raises(
        ValueError, match=rf"images of \({size[0]}, {size[1]}\) pixels .* this localiser: at least 28 x 28"
    ):
        ConvolutionalLocaliser((1, *size))
