import math

import pytest
import torch

from stn_bench.geometry import pixel_grid, sample
from stn_bench.transforms import Affine, Attention, Rotation, Similarity, Translation

QUARTER = math.pi / 2


def random_image(*size):
    return torch.rand(1, 1, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def warped(image, transform, *theta, output_size=None):
    points = pixel_grid(*(output_size or image.shape[-2:]), dtype=image.dtype)
    return sample(image, transform(torch.tensor([theta], dtype=image.dtype), points))


@pytest.mark.parametrize(("right", "down"), [(3, 0), (0, 3), (-2, 5)])
def test_a_shift_by_whole_pixels_rolls_the_image_the_other_way(right, down):
    image = random_image(20, 28)
    found = warped(image, Translation(), 2 * right / 28, 2 * down / 20)  # theta says where the output looks
    inside = (..., slice(5, -5), slice(5, -5))
    expected = image.roll((-down, -right), dims=(-2, -1))
    torch.testing.assert_close(found[inside], expected[inside], rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("transform", "theta"),
    [(Rotation(), [QUARTER]), (Similarity(), [0, 1, 0, 0]), (Affine(), [0, -1, 0, 1, 0, 0])],
    ids=["rotation", "similarity", "affine"],
)
def test_a_quarter_turn_turns_the_image_counter_clockwise(transform, theta):
    image = random_image(28, 28)
    torch.testing.assert_close(warped(image, transform, *theta), image.rot90(1, (-2, -1)), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("kind", "theta"), [(Rotation, [QUARTER]), (Similarity, [0, 1, 0, 0])])
def test_a_quarter_turn_of_an_image_that_is_not_square_turns_its_middle_square(kind, theta):
    image = random_image(20, 28)
    turned = warped(image, kind(aspect_ratio=28 / 20), *theta)
    torch.testing.assert_close(turned[..., 4:-4], image[..., 4:-4].rot90(1, (-2, -1)), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("kind", "theta"), [(Rotation, [0.6]), (Similarity, [math.cos(0.6), math.sin(0.6), 0, 0])])
def test_rotations_keep_distances_in_pixels_if_they_know_the_aspect_ratio(kind, theta):
    half_sides = torch.tensor([14.0, 10.0], dtype=torch.float64)
    points, theta = pixel_grid(20, 28, dtype=torch.float64), torch.tensor([theta], dtype=torch.float64)
    before = (points * half_sides).norm(dim=-1)
    informed = (kind(28 / 20)(theta, points)[0] * half_sides).norm(dim=-1)
    uninformed = (kind()(theta, points)[0] * half_sides).norm(dim=-1)
    torch.testing.assert_close(informed, before, rtol=0, atol=1e-12)
    assert (uninformed - before).abs().max() > 1  # it shears


def test_attention_at_half_scale_and_size_crops_the_middle():
    image = random_image(20, 28)
    found = warped(image, Attention(), 0.5, 0, 0, output_size=(10, 14))
    torch.testing.assert_close(found, image[..., 5:15, 7:21], rtol=0, atol=1e-12)


def test_attention_crops_where_its_shift_says():
    image = random_image(20, 28)
    found = warped(image, Attention(), 0.5, 2 * 7 / 28, -2 * 5 / 20, output_size=(10, 14))
    torch.testing.assert_close(found, image[..., :10, 14:], rtol=0, atol=1e-12)


def test_a_constrained_form_is_the_affine_warp_of_its_matrix():
    points = pixel_grid(20, 28, dtype=torch.float64)
    for transform in (Translation(), Attention(), Similarity(1.4), Rotation(1.4)):
        theta = transform.identity().double()[None] + 0.2
        as_affine = Affine()(transform.matrix(theta).flatten(1), points)
        torch.testing.assert_close(transform(theta, points), as_affine, rtol=0, atol=1e-14)


def test_the_inverse_of_a_turn_is_the_turn_back():
    points = pixel_grid(20, 28, dtype=torch.float64)
    back = Rotation(1.4).inverse_points(torch.tensor([[0.3]], dtype=torch.float64), points)
    expected = Rotation(1.4)(torch.tensor([[-0.3]], dtype=torch.float64), points)
    torch.testing.assert_close(back, expected, rtol=0, atol=1e-14)


def test_a_warp_that_collapses_the_image_has_no_inverse():
    with pytest.raises(torch.linalg.LinAlgError):
        Affine().inverse_points(torch.zeros(1, 6), pixel_grid(2, 2))


@pytest.mark.parametrize("kind", [Rotation, Similarity])
@pytest.mark.parametrize("ratio", [0.0, -1.0, math.inf, math.nan])
def test_what_is_no_ratio_of_sides_is_refused(kind, ratio):
    with pytest.raises(ValueError, match=f"^aspect_ratio={ratio} is no ratio of two sides"):
        kind(aspect_ratio=ratio)
