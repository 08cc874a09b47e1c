import copy
import io
import math
import pickle
import re

import numpy as np
import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from stn_bench import spatial_transformer, transforms
from stn_bench.geometry import pixel_grid, sample
from stn_bench.spatial_transformer import NonFiniteTheta, SpatialTransformer
from stn_bench.transforms import Affine, Rotation, ThinPlateSpline, Transform, Translation

KINDS = [kind for kind in map(transforms.__dict__.get, transforms.__all__) if issubclass(kind, Transform)]
every_transform = pytest.mark.parametrize("kind", [kind for kind in KINDS if kind is not Transform])
SIZE = (20, 28)


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(1)


def images(batch=2, channels=1, size=SIZE):
    return torch.rand(batch, channels, *size)


def flat(transform=None, channels=1, size=SIZE, **settings):
    """A transformer whose localiser is the image itself."""
    return SpatialTransformer(nn.Flatten(), channels * math.prod(size), transform or Affine(), **settings)


def awake(transformer, size=1e-3):
    """The transformer with regression weights that are not zero, so that it moves."""
    nn.init.normal_(transformer.regression.weight, std=size)
    return transformer


def convolutional():
    return nn.Sequential(nn.Conv2d(1, 4, 5), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5), nn.Flatten())


class Loud(nn.Module):
    def forward(self, images):
        return 1e6 * images.flatten(1)


@every_transform
@pytest.mark.parametrize(
    ("localiser", "features"),
    [(nn.Flatten(), 560), (convolutional(), 4 * 16 * 24), (Loud(), 560)],
    ids=["flat", "convolutional", "loud"],
)
def test_it_starts_as_the_identity_whatever_the_localiser(kind, localiser, features):
    transformer = SpatialTransformer(localiser, features, kind())
    before = images()
    torch.testing.assert_close(transformer(before), before, rtol=0, atol=1e-5)
    assert torch.equal(transformer.theta(before), transformer.transform.identity().expand(2, -1))
    assert torch.equal(transformer.points(before), pixel_grid(*SIZE).expand(2, -1, -1, -1))


@every_transform
def test_in_double_precision_it_is_the_identity_to_a_millionth(kind):
    transformer, before = flat(kind()).double(), images().double()
    after = transformer(before)
    assert after.dtype == torch.float64
    torch.testing.assert_close(after, before, rtol=0, atol=1e-6)
    after.sum().backward()
    assert transformer.regression.bias.grad.dtype == torch.float64


@pytest.mark.parametrize("channels", [1, 3, 7])
def test_it_warps_any_number_of_channels_alike(channels):
    transformer = awake(flat(channels=channels))
    before = images(channels=channels)
    after = transformer(before)
    assert after.shape == before.shape
    points = transformer.points(before)
    for channel in range(channels):
        one = slice(channel, channel + 1)
        torch.testing.assert_close(after[:, one], sample(before[:, one], points), rtol=0, atol=1e-6)


@every_transform
def test_an_identity_of_half_the_size_averages_four_pixels(kind):
    before = images()
    after = flat(kind(), output_size=(10, 14))(before)
    torch.testing.assert_close(after, nn.functional.avg_pool2d(before, 2), rtol=0, atol=1e-5)


def test_it_reads_its_input_at_its_points():
    transformer = awake(flat(ThinPlateSpline(), output_size=(9, 33), padding="border"))
    before = images()
    points = transformer.points(before)
    assert points.shape == (2, 9, 33, 2)
    assert torch.equal(points, transformer.points_of(transformer.theta(before), SIZE))
    torch.testing.assert_close(points, transformer.transform(transformer.theta(before), pixel_grid(9, 33)))
    assert torch.equal(transformer(before), sample(before, points, padding="border"))


def test_each_image_is_warped_by_its_own_theta():
    transformer, before = awake(flat()), images(batch=4)
    together = transformer(before)
    assert (transformer.theta(before).std(dim=0) > 0).all()
    for one in range(4):
        torch.testing.assert_close(transformer(before[one : one + 1])[0], together[one], rtol=0, atol=1e-5)


def test_one_transformer_serves_images_of_any_size():
    pooled = nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten())
    transformer = SpatialTransformer(pooled, 16, ThinPlateSpline())
    for size in [(28, 28), (20, 28), (28, 20), (28, 28)]:  # the constants it keeps are those of each size
        before = images(size=size)
        torch.testing.assert_close(transformer(before), before, rtol=0, atol=1e-5)
        torch.testing.assert_close(transformer.double()(before.double()), before.double(), rtol=0, atol=1e-6)
        transformer.float()


def test_two_in_series_inside_of_a_network_all_learn():
    network = nn.Sequential(
        awake(flat(ThinPlateSpline())),
        nn.Conv2d(1, 5, 5),
        nn.ReLU(),
        awake(flat(channels=5, size=(16, 24), output_size=(8, 8))),
        nn.Flatten(),
        nn.Linear(5 * 8 * 8, 10),
    )
    network(images()).square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad.abs().max() > 0, name


@every_transform
def test_the_gradient_reaches_the_regression_at_once_and_the_localiser_once_it_moves(kind):
    localiser = nn.Sequential(nn.Flatten(), nn.Linear(560, 8), nn.Tanh())
    transformer = SpatialTransformer(localiser, 8, kind())
    weights = torch.rand(SIZE)  # a loss of which every parameter changes something
    (transformer(images()) * weights).sum().backward()
    assert (transformer.regression.weight.grad != 0).all()
    assert (transformer.regression.bias.grad != 0).all()
    assert (localiser[1].weight.grad == 0).all()  # behind zero weights
    awake(transformer, size=0.01)
    (transformer(images()) * weights).sum().backward()
    assert (localiser[1].weight.grad != 0).any(dim=1).all()


def test_the_gradient_reaches_what_comes_before():
    transformer, before = awake(flat()), images().requires_grad_()
    transformer(before).square().sum().backward()
    assert (before.grad != 0).float().mean() > 0.9


@pytest.mark.parametrize(("kernel", "learns"), [("bilinear", True), ("bicubic", True), ("nearest", False)])
def test_only_smooth_kernels_teach_theta(kernel, learns):
    transformer = awake(flat(kernel=kernel))
    transformer(images()).square().sum().backward()
    assert (transformer.regression.bias.grad.abs().max() > 0) == learns


def test_kernel_and_padding_are_the_ones_asked_for():
    before, quarter = images(), torch.tensor([0.25, 0.0])
    for kernel in ("bilinear", "nearest", "bicubic"):
        for padding in ("zeros", "border"):
            transformer = flat(Translation(), kernel=kernel, padding=padding)
            nn.init.constant_(transformer.regression.bias, 0.25)
            points = (pixel_grid(*SIZE) + quarter[0]).expand(2, -1, -1, -1)
            torch.testing.assert_close(transformer(before), sample(before, points, kernel, padding), rtol=0, atol=1e-5)


def test_saved_and_loaded_it_is_the_same():
    first, second = awake(flat(ThinPlateSpline())), flat(ThinPlateSpline())
    before = images()
    first(before)  # the constants that it keeps are not saved
    assert list(first.state_dict()) == ["regression.weight", "regression.bias"]
    second.load_state_dict(first.state_dict())
    assert torch.equal(second(before), first(before))


class Wide(Affine):
    """Affine, of points that lie as far apart as its width says."""

    def __init__(self, width, learns):
        super().__init__()
        self.width = nn.Parameter(torch.tensor(width)) if learns else nn.Buffer(torch.tensor(width))

    def basis(self, points):
        return super().basis(points * self.width)


@pytest.mark.parametrize("learns", [True, False])
def test_what_a_transform_of_ones_own_learnt_is_loaded_with_it(learns):
    one, other = flat(Wide(1.0, learns)), flat(Wide(0.5, learns))
    seen = images()
    assert not torch.equal(one(seen), other(seen))
    one.load_state_dict(other.state_dict())
    assert torch.equal(one(seen), other(seen))


def test_a_transform_of_ones_own_learns_with_its_network():
    transformer, seen = flat(Wide(0.9, learns=True)), images()
    optimiser = torch.optim.SGD(transformer.transform.parameters(), lr=1e-3)
    for _ in range(3):
        before = transformer.points(seen)
        optimiser.zero_grad()
        transformer(seen).square().sum().backward()
        optimiser.step()
        assert not torch.equal(transformer.points(seen), before)


def test_a_seed_draws_for_later_layers_what_it_drew_when_results_were_published():
    flat()
    found = torch.rand(1)
    torch.manual_seed(1)
    nn.Linear(560, 6)
    assert torch.equal(torch.rand(1), found)


def test_a_copy_is_the_same_and_learns_by_itself():
    original, before = awake(flat()), images()
    expected = original(before)
    duplicate = copy.deepcopy(original)
    assert torch.equal(duplicate(before), expected)
    duplicate.reset_to_identity()
    torch.testing.assert_close(duplicate(before), before, rtol=0, atol=1e-5)
    assert torch.equal(original(before), expected)


@every_transform
def test_it_is_built_without_memory_on_the_meta_device(kind):
    with torch.device("meta"):
        built = flat(kind())
    assert built.regression.weight.is_meta
    assert {name: p.shape for name, p in built.named_parameters()} == {
        name: p.shape for name, p in flat(kind()).named_parameters()
    }


@every_transform
def test_it_can_train_after_it_was_used_in_inference_mode(kind):
    transformer, before = flat(kind()), images()
    with torch.inference_mode():
        transformer(before)
    transformer(before).square().sum().backward()
    assert transformer.regression.bias.grad.isfinite().all()


@every_transform
def test_theta_points_and_reading_are_float32_under_autocast(kind):
    localiser = nn.Sequential(nn.Flatten(), nn.Linear(560, 8))
    transformer, before = awake(SpatialTransformer(localiser, 8, kind()), size=0.01), images()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert localiser(before).dtype == torch.bfloat16  # so that there is something to withstand
        theta, points, after = transformer.theta(before), transformer.points(before), transformer(before)
    assert {theta.dtype, points.dtype, after.dtype} == {torch.float32}
    assert not torch.equal(theta, theta.bfloat16().float())
    assert torch.equal(points, transformer.points_of(theta, SIZE))
    assert torch.equal(after, sample(before, points))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("part", ["regression", "localiser"])
def test_weights_that_are_not_finite_are_named_as_the_cause(part, value):
    transformer = SpatialTransformer(
        nn.Sequential(nn.Flatten(), nn.Linear(560, 8)), 8, Affine(), name="the second transformer"
    )
    layer = transformer.regression if part == "regression" else transformer.localiser[1]
    with torch.no_grad():
        layer.bias[3] = value
    with pytest.raises(NonFiniteTheta, match=r"theta of 'the second transformer' .* its own weights are not finite"):
        transformer(images())


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_features_that_are_not_finite_are_named_as_the_cause_with_their_image(value):
    before = images(batch=5)
    before[3, 0, 2, 2] = value
    with pytest.raises(NonFiniteTheta, match="for image 3 of the batch; its localiser's features are not finite"):
        flat()(before)


def test_an_overflow_is_named_as_the_cause():
    transformer = SpatialTransformer(Loud(), 560, Affine())
    nn.init.constant_(transformer.regression.weight, 1e35)
    with pytest.raises(
        NonFiniteTheta, match="image 0 of the batch; its regression layer overflows: lower its learning"
    ):
        transformer(images())


def test_nothing_is_sampled_where_theta_is_not_finite(monkeypatch):
    sampled = []
    monkeypatch.setattr(spatial_transformer, "sample", lambda image, *_: sampled.append(image))
    transformer, before = flat(), images()
    transformer(before)
    assert len(sampled) == 1  # so that a call would be seen
    before[0, 0, 0, 0] = math.nan
    for call in (transformer, transformer.points, transformer.theta):
        with pytest.raises(FloatingPointError):
            call(before)
    assert len(sampled) == 1


def test_parameters_of_another_transform_are_refused():
    with pytest.raises(ValueError, match=r"Rotation takes parameters of shape \(B, 1\), found \(2, 6\)"):
        flat(Rotation()).points_of(torch.zeros(2, 6), SIZE)


@pytest.mark.parametrize("size", [(0, 9), (9, -1), (9.5, 9), ("big", "big")])
def test_an_output_size_that_is_none_is_refused_at_once(size):
    with pytest.raises(ValueError, match=f"'eye' cannot make {size[0]} x {size[1]} pixels: output_size wants two"):
        flat(output_size=size, name="eye")


@pytest.mark.parametrize(("size", "found"), [(28, "28"), ((28,), "28"), ((1, 2, 3), "1 x 2 x 3")])
def test_an_output_size_is_two_numbers(size, found):
    with pytest.raises(ValueError, match=f"'eye' cannot make {found} pixels: output_size wants two whole numbers"):
        flat(output_size=size, name="eye")


@pytest.mark.parametrize(
    ("part", "found", "kind", "words"),
    [
        ("localiser", torch.flatten, TypeError, "the localiser of 'eye' is no module, so it would not learn: found"),
        (
            "transform",
            "affine",
            TypeError,
            r"the transform of 'eye' is not an object such as Affine\(\): found 'affine'",
        ),
        ("transform", Affine, TypeError, r"the transform of 'eye' is not an object such as Affine\(\): found <class"),
        ("features", 0, ValueError, "the localiser of 'eye' cannot make features=0: give a whole number from 1"),
        ("features", "9", ValueError, "the localiser of 'eye' cannot make features='9': give a whole number from 1"),
    ],
)
def test_parts_that_are_none_are_refused_at_once(part, found, kind, words):
    parts = {"localiser": nn.Flatten(), "features": 560, "transform": Affine(), "name": "eye", part: found}
    with pytest.raises(kind, match=words):
        SpatialTransformer(**parts)


@pytest.mark.parametrize("before", [torch.rand(1, *SIZE), torch.zeros(2, 1, *SIZE, dtype=torch.uint8)])
def test_what_are_no_images_are_refused_by_their_shape_and_type(before):
    shape, dtype = re.escape(str(tuple(before.shape))), before.dtype
    for call in (flat(name="eye"), flat(name="eye").theta, flat(name="eye").points):
        with pytest.raises(ValueError, match=rf"^'eye' takes images .*, found {shape} of {dtype}$"):
            call(before)


@pytest.mark.parametrize("localiser", [nn.Flatten(), nn.Identity()])
def test_features_of_another_shape_are_refused_by_it(localiser):
    transformer = SpatialTransformer(localiser, 9, Affine(), name="eye")
    found = re.escape(str(tuple(localiser(images()).shape)))
    with pytest.raises(
        ValueError, match=rf"^the localiser of 'eye' makes features of shape {found}, where features=9 "
    ):
        transformer(images())


def test_its_settings_are_shown():
    shown = repr(flat(output_size=(9, 9), padding="border"))
    assert "output_size=(9, 9), kernel='bilinear', padding='border'" in shown


@every_transform
@pytest.mark.parametrize("threads", [1, 2])
def test_forwards_and_backwards_repeat_bit_for_bit(kind, threads):
    transformer, before = awake(flat(kind())), images(batch=16).requires_grad_()
    learnt = [before, *transformer.parameters()]
    set_before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        first, second = (torch.autograd.grad(transformer(before).square().sum(), learnt) for _ in range(2))
    finally:
        torch.set_num_threads(set_before)
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one, other)


@every_transform
def test_built_on_the_meta_device_it_works_once_it_has_weights(kind):
    before, built = images(), flat(kind())
    with torch.device("meta"):
        empty = flat(kind())
    by_layer = empty.regression.reset_parameters
    for give_weights in (lambda: empty.load_state_dict(built.state_dict()), empty.reset_to_identity, by_layer):
        empty.to_empty(device="cpu")
        give_weights()
        torch.testing.assert_close(empty(before), built(before))


@every_transform
def test_what_is_saved_whole_has_no_constants_of_the_device_that_it_was_on(kind):
    transformer, before = flat(kind()), images()
    expected = transformer(before)
    file = io.BytesIO()
    torch.save(transformer, file)
    file.seek(0)
    loaded = torch.load(file, map_location="meta", weights_only=False)
    loaded.to_empty(device="cpu").load_state_dict(transformer.state_dict())
    assert torch.equal(loaded(before), expected)


def test_constants_are_kept_for_some_sizes_and_not_for_those_of_before_a_move():
    transformer = flat(ThinPlateSpline(), size=(4, 4))
    theta = torch.zeros(1, transformer.transform.num_params)
    for side in range(1, 41):
        assert transformer.points_of(theta, (side, side)).shape == (1, side, side, 2)
    kept = len(pickle.dumps(dict(transformer._basis)))
    for side in range(41, 81):
        transformer.points_of(theta, (side, side))
    assert len(pickle.dumps(dict(transformer._basis))) == kept
    transformer.double()
    assert not transformer._basis


@every_transform
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_points_are_float32_where_the_whole_network_is_in_half_precision(kind, dtype):
    transformer = flat(kind(), size=(28, 28)).to(dtype)
    before = images(size=(28, 28)).to(dtype)
    points = transformer.points(before)
    assert points.dtype == torch.float32
    rounding = torch.finfo(dtype).eps if kind is ThinPlateSpline else 1e-6  # its identity is numbers such as 1/3
    torch.testing.assert_close(points, pixel_grid(28, 28).expand_as(points), rtol=0, atol=rounding)
    assert transformer(before).dtype == dtype


@pytest.mark.skipif(torch.__version__ < "2.12", reason="torch's own sampling has no second derivative before 2.12")
@every_transform
def test_its_gradients_have_gradients(kind):
    torch.manual_seed(3)
    transformer = awake(flat(kind(), size=(4, 5)).double(), 0.05)
    weights = tuple(transformer.parameters())

    def warped(before, *values):
        return torch.func.functional_call(transformer, dict(zip(names, values, strict=True)), (before,))

    names = [name for name, _ in transformer.named_parameters()]
    before = images(1, size=(4, 5)).double().requires_grad_()
    assert torch.autograd.gradgradcheck(warped, (before, *weights))


def test_an_exchanged_transform_is_the_one_that_warps():
    transformer = awake(flat(ThinPlateSpline(4, 4)))
    before = images()
    transformer(before)
    transformer.transform = ThinPlateSpline(2, 8)  # of as many numbers
    theta = transformer.theta(before)
    expected = transformer.transform(theta, pixel_grid(*SIZE))
    torch.testing.assert_close(transformer.points_of(theta, SIZE), expected, rtol=0, atol=0)


def test_with_another_transform_and_a_plain_layer_for_it_a_reset_gives_the_identity():
    transformer, before = awake(flat(Affine())), images()
    transformer.transform, transformer.regression = (
        ThinPlateSpline(4, 4),
        nn.Linear(transformer.regression.in_features, 32),
    )
    transformer.reset_to_identity()
    torch.testing.assert_close(transformer(before), flat(ThinPlateSpline(4, 4))(before))


@every_transform
def test_a_pass_of_fake_tensors_has_the_shape_and_leaves_nothing_behind(kind):
    transformer = flat(kind())
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        assert transformer(mode.from_tensor(images())).shape == images().shape
    assert type(transformer(images())) is torch.Tensor


@pytest.mark.skipif(torch.__version__ < "2.12", reason="torch's own sampling has no gradient under vmap before 2.12")
@every_transform
def test_vmap_of_gradients_gives_those_of_each_image(kind):
    transformer = awake(flat(kind()))
    weights, batch = dict(transformer.named_parameters()), images(3)

    def total(weights, image):
        return torch.func.functional_call(transformer, weights, (image[None],)).square().sum()

    together = torch.func.vmap(torch.func.grad(total), in_dims=(None, 0))(weights, batch)
    for index, image in enumerate(batch):
        alone = torch.autograd.grad(total(weights, image), list(weights.values()))
        for each, expected in zip(together.values(), alone, strict=True):
            torch.testing.assert_close(each[index], expected, rtol=1e-4, atol=1e-4)
    transformer(images()).sum().backward()  # no constant of vmap's stayed behind


def test_whole_numbers_of_numpy_are_whole_numbers():
    features, size = np.prod((1, 20, 28)), tuple(np.array([10, 14]))
    transformer = SpatialTransformer(nn.Flatten(), features, Affine(), output_size=size)
    assert transformer(images()).shape == (2, 1, 10, 14)
