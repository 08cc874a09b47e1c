"""What undoes a distortion is its inverse: points come back to where they were, and so do images."""

import pytest
import torch
from torch.autograd import gradcheck

from stn_bench import distortions
from stn_bench.data.sources import load_mnist
from stn_bench.distortions import Distortion, Elastic, Projective, Rotation, RotationScaleTranslation
from stn_bench.geometry import measure, pixel_grid

KINDS = [kind for kind in (getattr(distortions, name) for name in distortions.__all__) if kind is not Distortion]
# no draw folds over or meets the horizon
MILD = {Projective: {"corner_std_pixels": 1.5}, Elastic: {"control_std_pixels": 0.7}}
every_kind = pytest.mark.parametrize("kind", KINDS)
both_sizes = pytest.mark.parametrize("size", [(28, 28), (20, 28)], ids=["28x28", "20x28"])


def mild(kind, **settings):
    return kind(**MILD.get(kind, {}), **settings)


def drawn(distortion, n, dtype=torch.float64):
    return distortion.draw(n, torch.Generator().manual_seed(1)).to(dtype)


def off_by_pixels(distortion, parameters):
    """How far from each pixel of the image (B, H, W) the canvas looks where that pixel was said to lie."""
    height, width = distortion.input_size
    there = distortion.warp(parameters, distortion.undo_points(parameters))
    off = there - pixel_grid(height, width, dtype=parameters.dtype)
    return (off * parameters.new_tensor([width / 2, height / 2])).norm(dim=-1)


@every_kind
@both_sizes
def test_the_canvas_looks_at_each_pixel_of_the_image_where_that_pixel_came_to_lie(kind, size):
    distortion = mild(kind, input_size=size)
    parameters = drawn(distortion, 50)
    assert distortion.undo_points(parameters).shape == (50, *size, 2)
    assert off_by_pixels(distortion, parameters).max() < 1e-9


@every_kind
def test_a_point_of_the_canvas_comes_to_lie_where_it_was_when_it_is_looked_up_in_the_image(kind):
    distortion = mild(kind)
    parameters = drawn(distortion, 50)
    grid = pixel_grid(*distortion.output_size, dtype=torch.float64)
    there_and_back = distortion.unwarp(parameters, distortion.warp(parameters, grid))
    torch.testing.assert_close(there_and_back, grid.expand_as(there_and_back), rtol=0, atol=1e-9)


@pytest.mark.parametrize("kind", [Rotation, RotationScaleTranslation])
def test_single_precision_finds_every_pixel_of_a_rotated_image(kind):
    distortion = kind()
    assert off_by_pixels(distortion, drawn(distortion, 1000, torch.float32)).max() < 1e-4


def test_single_precision_finds_the_pixels_of_a_projected_image_that_are_before_the_horizon():
    distortion = Projective()
    parameters = drawn(distortion, 1000, torch.float32)
    in_sight = distortion.undo_points(parameters).abs().amax(-1) < 100
    assert in_sight.float().mean() > 0.999
    assert off_by_pixels(distortion, parameters)[in_sight].max() < 1e-2


def test_single_precision_finds_the_pixels_of_a_bent_image():
    """The shares that `Elastic.unwarp` states, measured on 2,000 draws, hold for these."""
    distortion = Elastic(control_std_pixels=1.5)
    parameters = drawn(distortion, 1000, torch.float32)
    off = off_by_pixels(distortion, parameters)
    assert (off < 0.01).float().mean() > 0.9997
    flat = measure.folded(distortion.points(parameters)) == 0
    assert flat.float().mean() > 0.96
    assert (off[flat] < 0.01).float().mean() > 0.9999


@pytest.mark.parametrize("distortion", [Projective(corner_std_pixels=30), Elastic(control_std_pixels=30)])
def test_an_image_that_was_folded_over_and_over_has_finite_points_and_is_read_between_0_and_1(distortion):
    parameters = drawn(distortion, 50, torch.float32)
    assert distortion.undo_points(parameters).isfinite().all()
    undone = distortion.undo(torch.ones(50, 1, 28, 28), parameters)
    assert undone.min() >= 0
    assert undone.max() <= 1 + 1e-6


@every_kind
def test_the_gradient_of_where_pixels_come_to_lie_is_right(kind):
    distortion = mild(kind)
    parameters, few = drawn(distortion, 2).requires_grad_(), pixel_grid(5, 4, dtype=torch.float64).requires_grad_()
    assert gradcheck(distortion.unwarp, (parameters, few))


@every_kind
def test_pixels_come_to_lie_where_they_did_whether_or_not_a_gradient_is_asked_for(kind):
    distortion = kind()
    parameters = drawn(distortion, 20, torch.float32)
    assert torch.equal(distortion.undo_points(parameters.clone().requires_grad_()), distortion.undo_points(parameters))


@every_kind
@both_sizes
def test_a_smooth_image_comes_back(kind, size):
    distortion = mild(kind, input_size=size)
    x, y = pixel_grid(*size).unbind(-1)
    smooth = (0.5 + 0.5 * (2 * x + 1).cos() * (1.5 * y).sin()).expand(50, 1, *size)
    parameters = drawn(distortion, 50, torch.float32)
    undone = distortion.undo(distortion(smooth, parameters), parameters)
    assert undone.shape == smooth.shape
    # where the canvas cut something off, nothing can come back
    kept = distortion.undo(distortion(torch.ones_like(smooth), parameters), parameters) > 0.999
    assert kept.float().mean() > 0.5
    assert (undone - smooth)[kept].abs().max() < 0.05


@pytest.mark.parametrize("kind", [Rotation, RotationScaleTranslation, Projective, Elastic])
def test_digits_that_were_undone_are_far_more_like_themselves_than_distorted_ones(kind):
    digits = torch.from_numpy(load_mnist().test_images[:500])[:, None].float() / 255
    distortion = kind()
    parameters = drawn(distortion, 500, torch.float32)
    canvases = distortion(digits, parameters)
    edges = [(canvas - side) // 2 for canvas, side in zip(distortion.output_size, (28, 28), strict=True)]
    middle = canvases[..., edges[0] : edges[0] + 28, edges[1] : edges[1] + 28]
    alike = {
        name: torch.nn.functional.cosine_similarity(images.flatten(1), digits.flatten(1)).mean()
        for name, images in (("distorted", middle), ("undone", distortion.undo(canvases, parameters)))
    }
    assert alike["undone"] > 0.9
    assert 1 - alike["undone"] < (1 - alike["distorted"]) / 4


@every_kind
def test_autocast_changes_nothing_in_what_is_undone(kind):
    distortion = kind()
    parameters = drawn(distortion, 8, torch.float32)
    canvases = torch.rand(8, 1, *distortion.output_size, generator=torch.Generator().manual_seed(2))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = distortion.undo(canvases, parameters)
    assert torch.equal(found, distortion.undo(canvases, parameters))
