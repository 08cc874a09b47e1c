"""What holds for every warp that a network can predict. A new warp is one line of `WARPS`."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
import torch
from scipy.interpolate import RBFInterpolator
from scipy.ndimage import map_coordinates
from torch.autograd import gradcheck

from stn_bench import transforms
from stn_bench.geometry import pixel_grid, sample
from stn_bench.transforms import NoClosedFormInverse, Transform


class Warp(NamedTuple):
    transform: Transform
    reference: Callable  # parameters (P,) and points (N, 2) -> points (N, 2), in NumPy and SciPy alone
    inverse: bool = True


def divided(matrix, points):
    x, y, z = np.asarray(matrix) @ np.column_stack([points, np.ones(len(points))]).T
    return np.column_stack([x / z, y / z])


def turned(factor, points, aspect_ratio=1.0):
    x, y = points.T
    product = factor * (x * aspect_ratio + 1j * y)  # a turn and a scale is one complex factor
    return np.column_stack([product.real / aspect_ratio, product.imag])


def spline(positions, points, rows, columns):
    controls = [(x, y) for y in np.linspace(-1, 1, rows) for x in np.linspace(-1, 1, columns)]
    return RBFInterpolator(controls, positions.reshape(-1, 2), kernel="thin_plate_spline", degree=1)(points)


WIDE = 28 / 20  # the aspect ratio of a 20 x 28 image
WARPS = {
    "affine": Warp(transforms.Affine(), lambda t, p: p @ t.reshape(2, 3)[:, :2].T + t.reshape(2, 3)[:, 2]),
    "translation": Warp(transforms.Translation(), lambda t, p: p + t),
    "attention": Warp(transforms.Attention(), lambda t, p: t[0] * p + t[1:]),
    "similarity": Warp(transforms.Similarity(), lambda t, p: turned(t[0] + 1j * t[1], p) + t[2:]),
    "wide similarity": Warp(transforms.Similarity(WIDE), lambda t, p: turned(t[0] + 1j * t[1], p, WIDE) + t[2:]),
    "rotation": Warp(transforms.Rotation(), lambda t, p: turned(np.exp(1j * t[0]), p)),
    "wide rotation": Warp(transforms.Rotation(WIDE), lambda t, p: turned(np.exp(1j * t[0]), p, WIDE)),
    "projective": Warp(transforms.Projective(), lambda t, p: divided([t[:3], t[3:6], [*t[6:], 1]], p)),
    "tps": Warp(transforms.ThinPlateSpline(), lambda t, p: spline(t, p, 4, 4), inverse=False),
    "tps 2 x 5": Warp(transforms.ThinPlateSpline(2, 5), lambda t, p: spline(t, p, 2, 5), inverse=False),
}
every_warp = pytest.mark.parametrize("warp", WARPS.values(), ids=WARPS.keys())
both_sizes = pytest.mark.parametrize("size", [(28, 28), (20, 28)], ids=["28x28", "20x28"])
SHARED = pixel_grid(7, 6, dtype=torch.float64)


def random(*shape, seed=1):
    return torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def near_identity(transform, n, reach=0.3):
    offsets = reach * (2 * random(n, transform.num_params, seed=2) - 1)
    return transform.identity().double() + offsets


def read_by_scipy(image, points, mode):
    height, width = image.shape
    columns, rows = (points[:, 0] + 1) / 2 * width - 0.5, (points[:, 1] + 1) / 2 * height - 0.5
    return map_coordinates(image, [rows, columns], order=1, mode=mode)


def test_every_transform_has_a_line_in_the_list():
    public = [getattr(transforms, name) for name in transforms.__all__]
    warps = {kind for kind in public if issubclass(kind, Transform)} - {Transform}
    assert warps == {type(warp.transform) for warp in WARPS.values()}


@every_warp
def test_identity_parameters_leave_every_point_where_it_was(warp):
    points = pixel_grid(20, 28)
    identity = warp.transform.identity()
    assert identity.shape == (warp.transform.num_params,)
    assert identity.dtype == torch.float32
    moved = warp.transform(identity.expand(3, -1), points)
    assert torch.equal(moved, points.expand(3, -1, -1, -1))  # exactly: 1 * x + 0 + ... + 0


@every_warp
@both_sizes
# float32: grid_sample turns x into a pixel, ((x + 1) W - 1) / 2, to a few times 28 eps, about 1e-6 of a pixel,
# and neighbours in a random image differ by up to 1
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-6), (torch.float32, 1e-5)])
def test_identity_parameters_return_the_input(warp, size, dtype, tolerance):
    image = random(2, 3, *size).to(dtype)
    theta = warp.transform.identity().to(dtype).expand(2, -1)
    found = sample(image, warp.transform(theta, pixel_grid(*size, dtype=dtype)))
    torch.testing.assert_close(found, image, rtol=0, atol=tolerance)


@every_warp
def test_identity_parameters_show_all_of_a_constant_image_in_fewer_pixels(warp):
    points = warp.transform(warp.transform.identity()[None], pixel_grid(9, 13))
    found = sample(torch.full((1, 1, 20, 28), 0.7), points)
    torch.testing.assert_close(found, torch.full((1, 1, 9, 13), 0.7), rtol=0, atol=1e-6)


@every_warp
@both_sizes
@pytest.mark.parametrize(("padding", "mode"), [("zeros", "grid-constant"), ("border", "nearest")])
def test_points_and_images_agree_with_scipy(warp, size, padding, mode):
    theta, image = near_identity(warp.transform, 4).float(), random(4, 1, *size).float()
    points = warp.transform(theta, pixel_grid(*size))
    found = sample(image, points, padding=padding)
    rows, columns = np.mgrid[: size[0], : size[1]]
    centres = np.column_stack([((2 * i + 1) / n - 1).ravel() for i, n in ((columns, size[1]), (rows, size[0]))])
    for one in range(4):
        expected = warp.reference(theta[one].double().numpy(), centres)
        np.testing.assert_allclose(points[one].reshape(-1, 2).numpy(), expected, rtol=0, atol=1e-5)
        pixels = read_by_scipy(image[one, 0].double().numpy(), expected, mode)
        np.testing.assert_allclose(found[one].flatten().numpy(), pixels, rtol=0, atol=1e-4)


@every_warp
def test_inverse_points_undo_the_warp_or_say_that_nothing_can(warp):
    theta = near_identity(warp.transform, 5)
    moved = warp.transform(theta, SHARED)
    if warp.inverse:
        back = warp.transform.inverse_points(theta, moved)
        torch.testing.assert_close(back, SHARED.expand_as(back), rtol=0, atol=1e-9)
    else:
        with pytest.raises(NoClosedFormInverse, match=f"{type(warp.transform).__name__} has no inverse in closed form"):
            warp.transform.inverse_points(theta, moved)


@every_warp
def test_each_image_moves_by_its_own_parameters(warp):
    theta = near_identity(warp.transform, 4)
    together = warp.transform(theta, SHARED)
    assert together.shape == (4, 7, 6, 2)
    for one in range(4):
        alone = warp.transform(theta[one : one + 1], SHARED)
        torch.testing.assert_close(together[one], alone[0], rtol=0, atol=1e-13)


@every_warp
def test_points_of_each_image_move_as_shared_ones_do(warp):
    theta = near_identity(warp.transform, 4)
    own = warp.transform(theta, SHARED.expand(4, -1, -1, -1))
    torch.testing.assert_close(own, warp.transform(theta, SHARED), rtol=0, atol=1e-13)


@every_warp
def test_every_parameter_moves_the_points_in_a_way_of_its_own(warp):
    theta = near_identity(warp.transform, 1)
    jacobian = torch.autograd.functional.jacobian(lambda t: warp.transform(t, SHARED), theta)
    assert torch.linalg.matrix_rank(jacobian.reshape(-1, warp.transform.num_params)) == warp.transform.num_params


@every_warp
def test_the_gradient_of_the_points_is_right(warp):
    theta = near_identity(warp.transform, 2).requires_grad_()
    basis = warp.transform.basis(SHARED)  # once: gradcheck calls what follows hundreds of times
    assert gradcheck(lambda t: warp.transform.warp(t, basis), theta)


@every_warp
def test_the_gradient_of_the_images_is_right_for_parameters_and_pixels(warp):
    # the output's size is such that no point of these warps comes to lie on a pixel centre, where bilinear has a kink
    theta, image = near_identity(warp.transform, 2).requires_grad_(), random(2, 2, 5, 6).requires_grad_()
    basis = warp.transform.basis(pixel_grid(4, 3, dtype=torch.float64))
    assert gradcheck(lambda t, pixels: sample(pixels, warp.transform.warp(t, basis)), (theta, image))


@every_warp
def test_the_gradient_for_pixels_is_right_where_all_points_are_pixel_centres(warp):
    theta, image = warp.transform.identity().double()[None], random(1, 2, 4, 4).requires_grad_()
    points = warp.transform(theta, pixel_grid(4, 4, dtype=torch.float64))
    assert gradcheck(lambda pixels: sample(pixels, points), image)


@every_warp
def test_points_stay_float32_and_the_same_under_autocast(warp):
    theta, points = near_identity(warp.transform, 3).float(), pixel_grid(20, 28)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = warp.transform(theta, points)
        from_half = warp.transform(theta.bfloat16(), points)
    assert torch.equal(found, warp.transform(theta, points))
    assert torch.equal(from_half, warp.transform(theta.bfloat16().float(), points))
    if warp.inverse:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            back = warp.transform.inverse_points(theta, points)
        assert torch.equal(back, warp.transform.inverse_points(theta, points))


@every_warp
def test_parameters_of_the_wrong_shape_are_refused(warp):
    count = warp.transform.num_params
    name = type(warp.transform).__name__
    for shape in [(2, count + 1), (count,), (1, 2, count)]:
        with pytest.raises(ValueError, match=rf"{name} takes parameters of shape \(B, {count}\), found \({shape[0]},"):
            warp.transform(torch.zeros(shape), pixel_grid(2, 2))


@every_warp
def test_a_warp_has_nothing_to_train_or_save(warp):
    assert not warp.transform.state_dict()
    assert f"num_params={warp.transform.num_params}" in repr(warp.transform)
