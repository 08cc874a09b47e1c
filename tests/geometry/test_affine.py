import math

import pytest
import torch

from stn_bench.geometry import affine, pixel_grid


def random(*shape, seed=1):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def moved(matrix, x, y):
    return affine.apply(matrix[None], torch.tensor([[[x, y]]], dtype=matrix.dtype))[0, 0, 0].tolist()


def test_a_quarter_turn_takes_x_to_y():
    quarter = affine.rotation(torch.tensor(math.pi / 2, dtype=torch.float64))
    assert moved(quarter, 1.0, 0.0) == pytest.approx([0, 1], abs=1e-15)
    assert moved(quarter, 0.0, 1.0) == pytest.approx([-1, 0], abs=1e-15)


def test_scaling_multiplies_and_translation_adds():
    assert moved(affine.scaling(torch.tensor(2.0)), 3.0, -5.0) == [6, -10]
    assert moved(affine.translation(torch.tensor([10.0, 20.0])), 3.0, -5.0) == [13, 15]


def test_composing_does_the_inner_map_first():
    shift, double = affine.translation(torch.tensor([10.0, 20.0])), affine.scaling(torch.tensor(2.0))
    assert moved(affine.compose(double, shift), 1.0, 1.0) == [22, 42]
    assert moved(affine.compose(shift, double), 1.0, 1.0) == [12, 22]


def test_an_inverse_undoes_its_map_on_either_side():
    matrix = random(6, 2, 3)
    identity = torch.eye(2, 3, dtype=torch.float64).expand(6, 2, 3)
    torch.testing.assert_close(affine.compose(affine.invert(matrix), matrix), identity, rtol=0, atol=1e-12)
    torch.testing.assert_close(affine.compose(matrix, affine.invert(matrix)), identity, rtol=0, atol=1e-12)


def test_a_singular_map_has_no_inverse():
    with pytest.raises(torch.linalg.LinAlgError):
        affine.invert(torch.zeros(1, 2, 3))


def test_points_move_as_the_matrix_says():
    matrix, points = random(3, 2, 3), random(4, 5, 2, seed=2)
    expected = torch.einsum("bij,hwj->bhwi", matrix[..., :2], points) + matrix[:, None, None, :, 2]
    torch.testing.assert_close(affine.apply(matrix, points), expected, rtol=0, atol=1e-14)


def test_shared_points_and_each_images_own_move_alike():
    matrix, points = random(3, 2, 3), random(4, 5, 2, seed=2)
    own = points.expand(3, 4, 5, 2)
    torch.testing.assert_close(affine.apply(matrix, own), affine.apply(matrix, points), rtol=0, atol=4e-15)


def test_a_map_of_pixels_moves_pixels_also_between_images_of_different_shape():
    in_pixels = random(1, 2, 3)
    canvas, image = (20, 30), (28, 16)  # height, width
    points = pixel_grid(*canvas, dtype=torch.float64)
    found = affine.apply(affine.from_pixels(in_pixels, image, canvas), points)
    offsets = points * torch.tensor([15.0, 10.0], dtype=torch.float64)  # pixels from the centre of the canvas
    expected = affine.apply(in_pixels, offsets) / torch.tensor([8.0, 14.0], dtype=torch.float64)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-13)


def test_a_rotation_of_pixels_keeps_their_distances_on_an_image_that_is_not_square():
    turned = affine.from_pixels(affine.rotation(torch.tensor([0.7], dtype=torch.float64)), (20, 28), (20, 28))
    half_sides = torch.tensor([14.0, 10.0], dtype=torch.float64)
    points = pixel_grid(20, 28, dtype=torch.float64)
    before = (points * half_sides).norm(dim=-1)
    after = (affine.apply(turned, points)[0] * half_sides).norm(dim=-1)
    torch.testing.assert_close(after, before, rtol=0, atol=1e-12)
