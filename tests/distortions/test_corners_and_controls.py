"""P and E from their definition: where a corner or control point of the image comes to lie, there it is read."""

import pytest
import torch

from stn_bench.distortions import Elastic, Projective, Rotation, RotationScaleTranslation
from stn_bench.geometry import pixel_grid, thin_plate


def where_they_come_to_lie(points, scale, moves):
    """Points (K, 2) of the image in half sides, scaled and moved: in pixels from the canvas' top left corner."""
    return (scale * points + 1) * 14 + moves


def to_pixel_centres(points, scale, spread):
    """Random moves (K, 2) that bring scaled points onto centres of pixels of a 28 x 28 canvas, and those pixels."""
    moves = spread * torch.randn(points.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    pixels = where_they_come_to_lie(points, scale, moves).floor().clamp(0, 27)
    return pixels + 0.5 - where_they_come_to_lie(points, scale, 0), pixels.long()


@pytest.mark.parametrize(
    ("distortion", "points"),
    [
        (Projective(), [(-1, -1), (1, -1), (1, 1), (-1, 1)]),
        (Elastic(), [(x / 3, y / 3) for y in (-3, -1, 1, 3) for x in (-3, -1, 1, 3)]),
        (Elastic(rows=2, columns=3), [(x, y) for y in (-1, 1) for x in (-1, 0, 1)]),
    ],
    ids=["P", "E", "E 2 x 3"],
)
@pytest.mark.parametrize("scale", [0.75, 0.9])
def test_the_canvas_reads_the_images_corners_where_they_were_moved_to(distortion, points, scale):
    points = torch.tensor(points, dtype=torch.float64)
    moves, pixels = to_pixel_centres(points, scale, spread=1.0)
    parameters = torch.cat([torch.tensor([scale]), moves.flatten()])[None].float()
    read_at = distortion.points(parameters)[0, pixels[:, 1], pixels[:, 0]]
    torch.testing.assert_close(read_at, points.float(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", [Projective, Elastic])
def test_the_scale_alone_shrinks_the_image_about_its_centre(kind):
    parameters = torch.zeros(1, len(kind().names))
    parameters[0, 0] = 0.5
    found = kind()(torch.ones(1, 1, 28, 28), parameters)
    expected = torch.zeros(1, 1, 28, 28)
    expected[..., 7:21, 7:21] = 1
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", [Projective, Elastic])
def test_moving_every_point_alike_shifts_the_image(kind):
    image = torch.rand(1, 1, 28, 28, generator=torch.Generator().manual_seed(1))
    moves = torch.tensor([3.0, -2.0]).repeat((len(kind().names) - 1) // 2)  # right, down in pixels
    found = kind()(image, torch.cat([torch.ones(1), moves])[None])
    inside = (..., slice(3, -3), slice(3, -3))
    torch.testing.assert_close(found[inside], image.roll((-2, 3), dims=(-2, -1))[inside], rtol=0, atol=1e-4)


@pytest.mark.parametrize("kind", [Projective, Elastic])
def test_scales_the_wrong_way_round_are_refused(kind):
    with pytest.raises(ValueError, match=r"^min_scale=1\.0, max_scale=0\.75: scales are finite, above 0, the smaller"):
        kind(min_scale=1.0, max_scale=0.75)


@pytest.mark.parametrize("scale", [0.0, -0.5, float("nan"), float("inf")])
@pytest.mark.parametrize("kind", [Projective, Elastic])
def test_a_scale_that_is_not_above_0_is_refused(kind, scale):
    with pytest.raises(ValueError, match=f"^min_scale={scale}, "):
        kind(min_scale=scale)


@pytest.mark.parametrize("scale", [float("nan"), float("inf")])
@pytest.mark.parametrize("kind", [Projective, Elastic])
def test_a_scale_without_end_is_refused(kind, scale):
    with pytest.raises(ValueError, match=f", max_scale={scale}: scales are finite"):
        kind(max_scale=scale)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (Projective, "corner_std_pixels"),
        (Elastic, "control_std_pixels"),
        (Rotation, "max_degrees"),
        (RotationScaleTranslation, "max_degrees"),
    ],
)
def test_a_strength_below_0_or_without_end_is_refused_by_its_name(kind, name):
    with pytest.raises(ValueError, match=f"^{name}=-1.5 is no strength: give a finite number, 0 or more$"):
        kind(**{name: -1.5})
    for strength in (float("inf"), float("nan")):
        with pytest.raises(ValueError, match=f"^{name}={strength} is no strength"):
            kind(**{name: strength})
    kind(**{name: 0})


def test_a_grid_of_controls_on_one_line_is_refused():
    with pytest.raises(ValueError, match="a grid of 1 x 4 control points lies on one line"):
        Elastic(rows=1)


def test_single_precision_moves_next_to_nothing():
    distortion, grid = Elastic(), pixel_grid(28, 28, dtype=torch.float64)
    parameters = distortion.draw(1000, torch.Generator().manual_seed(1))
    scale, moves = parameters[:, :1, None].double(), parameters[:, 1:].double().unflatten(1, (16, 2))
    controls = thin_plate.control_grid(4, 4).expand(1000, -1, -1)
    drawn_at = scale * controls + moves / 14
    expected = thin_plate.evaluate(thin_plate.solve(drawn_at, controls), drawn_at, grid)
    error_pixels = 14 * (distortion.points(parameters) - expected).abs().amax(dim=(1, 2, 3))  # the worst of each image
    assert error_pixels.quantile(0.5) < 1e-4
    # the tail: points that come to lie close together have large weights of opposite signs
    assert error_pixels.quantile(0.99) < 2e-3
    assert error_pixels.max() < 0.1
