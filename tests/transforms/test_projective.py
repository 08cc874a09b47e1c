import pytest
import torch
from torch.autograd import gradcheck

from stn_bench.geometry import pixel_grid, sample
from stn_bench.geometry.homography import HORIZON, OUT_OF_SIGHT
from stn_bench.transforms import Affine, Projective

GRID = pixel_grid(20, 28, dtype=torch.float64)


def parameters(*rows):
    return torch.tensor(rows, dtype=torch.float64)


def test_a_last_row_of_zeros_is_the_affine_warp():
    affine = torch.randn(5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    theta = torch.nn.functional.pad(affine, (0, 2))
    torch.testing.assert_close(Projective()(theta, GRID), Affine()(affine, GRID), rtol=0, atol=1e-14)


def test_straight_lines_stay_straight():
    theta = Projective().identity().double()[None] + torch.linspace(-0.2, 0.2, 8, dtype=torch.float64)
    row = Projective()(theta, GRID)[0, 3]
    across = torch.linalg.svdvals(row - row.mean(dim=0))
    assert across[1] < 1e-12 * across[0]


@pytest.mark.parametrize("slope", [1.0, 2.0, 50.0])
def test_a_horizon_in_the_image_leaves_finite_points_and_gradients(slope):
    image = torch.rand(1, 1, 20, 28, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    theta = parameters([1, 0, 0, 0, 1, 0, slope, 0]).requires_grad_()  # z = 1 + slope x
    points = Projective()(theta, GRID)
    beyond = 1 + slope * GRID[..., 0] <= HORIZON
    assert points.isfinite().all()
    assert points[0][beyond].eq(OUT_OF_SIGHT).all()
    found = sample(image, points)
    assert found[0, 0][beyond].eq(0).all()
    found.sum().backward()
    assert theta.grad.isfinite().all()
    assert theta.grad.abs().max() > 0  # from what is still in sight


def test_an_image_wholly_beyond_the_horizon_has_zero_gradients_and_not_nan():
    theta = parameters([1, 0, 0, 0, 1, 0, 0, -1e9]).requires_grad_()  # z < 0 for all y > 0
    points = Projective()(theta, GRID[10:])
    assert points.eq(OUT_OF_SIGHT).all()
    points.sum().backward()
    assert theta.grad.eq(0).all()


def test_the_gradient_is_right_on_either_side_of_the_horizons_guard():
    z = torch.tensor([-1.0, 0.0, 0.5 * HORIZON, 2 * HORIZON, 5 * HORIZON, 1.0], dtype=torch.float64)
    points = torch.stack([z - 1, torch.full_like(z, 0.3)], dim=-1)[None]  # z = 1 + x under theta
    theta = parameters([1, 0.1, 0.2, -0.1, 1, 0.3, 1, 0]).requires_grad_()
    seen = Projective()(theta, points)[0, 0, :, 0] != OUT_OF_SIGHT
    assert seen.tolist() == [False, False, False, True, True, True]
    assert gradcheck(lambda t: Projective()(t, points), theta)


def test_what_is_seen_has_an_inverse_also_where_the_middle_of_the_input_is_not_seen():
    theta = parameters([1, 0, 2, 0, 1, 0, 1, 0])  # the input's middle would be seen at x = -2, where z = -1
    seen = Projective()(theta, GRID)
    back = Projective().inverse_points(theta, seen)
    torch.testing.assert_close(back[0], GRID, rtol=0, atol=1e-11)
    middle = Projective().inverse_points(theta, torch.zeros(1, 1, 2, dtype=torch.float64))
    assert middle.eq(OUT_OF_SIGHT).all()


def test_a_warp_that_collapses_the_image_has_no_inverse():
    with pytest.raises(torch.linalg.LinAlgError):
        Projective().inverse_points(torch.zeros(1, 8), pixel_grid(2, 2))
