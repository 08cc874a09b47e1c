"""What holds for every random warp that makes data. A new distortion is one line of `DISTORTIONS`."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
import torch
from scipy.interpolate import RBFInterpolator
from scipy.ndimage import map_coordinates
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from stn_bench import distortions
from stn_bench.distortions import Distortion
from stn_bench.geometry import pixel_grid


class Line(NamedTuple):
    kind: type[Distortion]
    reference: Callable  # parameters (P,), canvas points (N, 2), canvas and image size -> image points (N, 2)
    neutral: Callable  # number of parameters -> those that leave the image as it is
    tolerance: float = 1e-4  # of a pixel's value where neighbours differ by up to 1


# The references, in NumPy and SciPy alone, work in pixels from the centre of the canvas to pixels from the centre of
# the image; sizes are (width, height). Only a spline is meant in half sides, on which a bend's stiffness depends.


def turned_back(p, points, canvas, image):
    angle, scale, *shift = [*p, 1, 0, 0] if len(p) == 1 else p
    x, y = (points - shift).T
    product = np.exp(1j * angle) * (x + 1j * y) / scale
    return np.column_stack([product.real, product.imag])


def corners_drawn_back(p, points, canvas, image):
    image_corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * image / 2
    canvas_corners = p[0] * image_corners + p[1:].reshape(4, 2)
    rows = []  # the homography is what these equations send to zero (direct linear transform)
    for (x, y), (u, v) in zip(canvas_corners, image_corners, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y, -u], [0, 0, 0, x, y, 1, -v * x, -v * y, -v]]
    matrix = np.linalg.svd(np.array(rows))[2][-1].reshape(3, 3)
    x, y, z = matrix @ np.column_stack([points, np.ones(len(points))]).T
    return np.column_stack([x / z, y / z])


def controls_drawn_back(p, points, canvas, image):
    image_controls = np.array([(x, y) for y in np.linspace(-1, 1, 4) for x in np.linspace(-1, 1, 4)])
    canvas_controls = p[0] * image_controls + p[1:].reshape(16, 2) / (np.array(canvas) / 2)
    spline = RBFInterpolator(canvas_controls, image_controls, kernel="thin_plate_spline", degree=1)
    return spline(points / (np.array(canvas) / 2)) * (np.array(image) / 2)


DISTORTIONS = {
    "none": Line(distortions.Undistorted, lambda p, points, canvas, image: points, lambda n: []),
    "R": Line(distortions.Rotation, turned_back, lambda n: [0]),
    "RTS": Line(distortions.RotationScaleTranslation, turned_back, lambda n: [0, 1, 0, 0]),
    "P": Line(distortions.Projective, corners_drawn_back, lambda n: [1, *[0] * (n - 1)]),
    # single precision is felt where E brings points close together: test_corners_and_controls.py says how much
    "E": Line(distortions.Elastic, controls_drawn_back, lambda n: [1, *[0] * (n - 1)], tolerance=1e-3),
}
every_distortion = pytest.mark.parametrize("line", DISTORTIONS.values(), ids=DISTORTIONS.keys())
both_sizes = pytest.mark.parametrize("size", [(28, 28), (20, 28)], ids=["28x28", "20x28"])


def seeded(seed=1):
    return torch.Generator().manual_seed(seed)


def images(n, *size):
    return torch.rand(n, 1, *size, generator=seeded(7))


def test_every_distortion_has_a_line_in_the_list():
    public = {getattr(distortions, name) for name in distortions.__all__} - {Distortion}
    assert public == {line.kind for line in DISTORTIONS.values()}


@every_distortion
@both_sizes
def test_points_and_images_agree_with_scipy(line, size):
    distortion = line.kind(input_size=size)
    digits = images(8, *size)
    parameters = distortion.draw(8, seeded())
    found = distortion(digits, parameters)
    assert found.shape == (8, 1, *distortion.output_size)
    height, width = distortion.output_size
    rows, columns = np.mgrid[:height, :width]
    canvas = np.column_stack([columns.ravel() - (width - 1) / 2, rows.ravel() - (height - 1) / 2])
    for one in range(8):
        x, y = line.reference(parameters[one].double().numpy(), canvas, (width, height), (size[1], size[0])).T
        at = [y + (size[0] - 1) / 2, x + (size[1] - 1) / 2]
        expected = map_coordinates(digits[one, 0].double().numpy(), at, order=1, mode="grid-constant")
        np.testing.assert_allclose(found[one].flatten().numpy(), expected, rtol=0, atol=line.tolerance)


@every_distortion
@both_sizes
def test_neutral_parameters_leave_the_image_as_it_is_in_the_middle_of_the_canvas(line, size):
    distortion = line.kind(input_size=size)
    parameters = torch.tensor([line.neutral(len(distortion.names))], dtype=torch.float32)
    digits = images(1, *size)
    top, left = ((canvas - side) // 2 for canvas, side in zip(distortion.output_size, size, strict=True))
    expected = torch.nn.functional.pad(digits, (left, left, top, top))
    torch.testing.assert_close(distortion(digits, parameters), expected, rtol=0, atol=1e-5)


@every_distortion
def test_every_drawn_number_has_a_name(line):
    drawn = line.kind().draw(5, seeded())
    assert drawn.shape == (5, len(line.kind().names))
    assert drawn.dtype == torch.float32
    assert len(set(line.kind().names)) == len(line.kind().names)


@every_distortion
def test_the_same_generator_draws_the_same_and_another_seed_something_else(line):
    distortion, again = line.kind(), line.kind()
    drawn = distortion.draw(100, seeded(1))
    assert torch.equal(drawn, again.draw(100, seeded(1)))
    if drawn.numel():
        assert (drawn != distortion.draw(100, seeded(2))).any(dim=0).all()


@every_distortion
def test_drawing_leaves_the_global_generator_alone(line):
    before = torch.random.get_rng_state()
    line.kind().draw(100, seeded())
    assert torch.equal(torch.random.get_rng_state(), before)


@every_distortion
def test_images_are_distorted_alike_alone_and_in_a_batch(line):
    distortion, digits = line.kind(), images(6, 28, 28)
    parameters = distortion.draw(6, seeded())
    together = distortion(digits, parameters)
    for one in (slice(0, 1), slice(3, 4), slice(4, 6)):
        alone = distortion(digits[one], parameters[one])
        torch.testing.assert_close(alone, together[one], rtol=0, atol=line.tolerance)


@every_distortion
def test_fresh_objects_make_the_same_images_bit_for_bit(line):
    digits = images(64, 28, 28)
    first, second = (kind(digits, kind.draw(64, seeded())) for kind in (line.kind(), line.kind()))
    assert torch.equal(first, second)


@every_distortion
def test_every_channel_is_distorted_alike_and_by_itself(line):
    distortion, digits = line.kind(), images(6, 28, 28)
    parameters = distortion.draw(3, seeded())
    two_channels = distortion(digits.view(3, 2, 28, 28), parameters)
    torch.testing.assert_close(two_channels[:, :1], distortion(digits[::2], parameters), rtol=0, atol=1e-6)
    torch.testing.assert_close(two_channels[:, 1:], distortion(digits[1::2], parameters), rtol=0, atol=1e-6)


@every_distortion
def test_pixels_stay_between_0_and_1_and_black_stays_black(line):
    distortion = line.kind()
    parameters = distortion.draw(50, seeded())
    white = distortion(torch.ones(50, 1, 28, 28), parameters)
    assert white.min() >= 0
    assert white.max() <= 1 + 1e-6
    assert white.mean() > 0.1  # the image is in sight
    assert distortion(torch.zeros(50, 1, 28, 28), parameters).eq(0).all()


@every_distortion
def test_the_default_dtype_changes_nothing_and_parameters_may_have_another(line):
    distortion, digits = line.kind(), images(5, 28, 28)
    drawn = distortion.draw(5, seeded())
    expected = distortion(digits, drawn)
    torch.set_default_dtype(torch.float64)
    try:
        other = line.kind()
        assert torch.equal(other.draw(5, seeded()), drawn)
        assert torch.equal(other(digits, drawn), expected)
    finally:
        torch.set_default_dtype(torch.float32)
    assert distortion.points(drawn.double()).dtype == torch.float64
    torch.testing.assert_close(distortion.points(drawn.double()).float(), distortion.points(drawn), rtol=0, atol=1e-3)


@every_distortion
def test_images_may_have_gradients_after_it_was_used_in_inference_mode(line):
    distortion, digits = line.kind(), images(3, 28, 28).requires_grad_()
    with torch.inference_mode():
        distortion(digits, distortion.draw(3, seeded()))
    distortion(digits, distortion.draw(3, seeded())).sum().backward()
    assert digits.grad.any()


@every_distortion
def test_autocast_changes_nothing(line):
    distortion, digits = line.kind(), images(8, 28, 28)
    parameters = distortion.draw(8, seeded())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = distortion(digits, parameters)
    assert torch.equal(found, distortion(digits, parameters))


@every_distortion
def test_images_of_another_size_and_parameters_of_another_number_are_refused(line):
    distortion = line.kind()
    parameters = distortion.draw(2, seeded())
    canvas = distortion.output_size
    for apply, size in ((distortion, (28, 28)), (distortion.undo, canvas)):
        with pytest.raises(ValueError, match=r"takes \(\d+, \d+\) pixels, found \(20, 28\)"):
            apply(images(2, 20, 28), parameters)
        with pytest.raises(ValueError, match=rf"takes parameters \(B, {len(distortion.names)}\), found \(2, \d+\)"):
            apply(images(2, *size), torch.cat([parameters, torch.zeros(2, 1)], 1))


@every_distortion
@pytest.mark.parametrize("side", [0, -3, float("inf"), float("nan")])
def test_a_size_without_pixels_or_without_end_is_refused(line, side):
    for size in ((side, 28), (28, side)):
        with pytest.raises(
            ValueError, match=rf"^input_size=\({size[0]}, {size[1]}\) is no size in pixels: give a height"
        ):
            line.kind(input_size=size)


@pytest.mark.parametrize("side", [0, -3, float("inf"), float("nan")])
def test_a_canvas_without_pixels_or_without_end_is_refused(side):
    with pytest.raises(ValueError, match=rf"^output_size=\(42, {side}\) is no size in pixels: give a height"):
        distortions.RotationScaleTranslation(output_size=(42, side))


@every_distortion
def test_double_precision_reads_at_the_grid_of_double_precision_whatever_was_used_before(line):
    distortion = line.kind()
    parameters = distortion.draw(3, seeded())
    for dtype in (torch.float32, torch.float64, torch.float32):
        grid = pixel_grid(*distortion.output_size, dtype=dtype)
        expected = distortion.warp(parameters.to(dtype), grid)
        assert torch.equal(distortion.points(parameters.to(dtype)), expected)


@every_distortion
def test_a_pass_of_fake_tensors_leaves_no_grid_behind(line):
    distortion = line.kind()
    parameters = distortion.draw(2, seeded())
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        assert type(distortion.points(mode.from_tensor(parameters))) is FakeTensor
    assert type(distortion(images(2, 28, 28), parameters)) is torch.Tensor
