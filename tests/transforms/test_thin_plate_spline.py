import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from stn_bench.geometry import affine, pixel_grid
from stn_bench.transforms import Affine, ThinPlateSpline

GRID = pixel_grid(20, 28, dtype=torch.float64)
TPS = ThinPlateSpline()
AT_CONTROLS = TPS.controls[None]  # the control points as an image's points (1, 16, 2)


def random(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def misfit_of_the_best_affine(points):
    """The largest distance between points (H, W, 2) and the affine warp nearest to them, by least squares."""
    functions = affine.homogeneous(GRID).flatten(0, 1)
    fitted = functions @ torch.linalg.lstsq(functions, points.flatten(0, 1)).solution
    return float((fitted - points.flatten(0, 1)).abs().max())


def test_the_control_grid_is_row_by_row_with_x_first():
    theta = ThinPlateSpline(rows=2, columns=3).identity()
    assert theta.tolist() == [-1, -1, 0, -1, 1, -1, -1, 1, 0, 1, 1, 1]


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_control_points_moved_by_an_affine_warp_give_that_warp(dtype, tolerance):
    matrix = random(3, 6)
    theta = Affine()(matrix, AT_CONTROLS).flatten(1).to(dtype)
    found = TPS(theta, GRID.to(dtype))
    torch.testing.assert_close(found, Affine()(matrix, GRID).to(dtype), rtol=0, atol=tolerance)


def test_every_control_point_is_hit():
    theta = TPS.controls.flatten() + 0.3 * random(5, 32)
    hit = TPS(theta, AT_CONTROLS)
    torch.testing.assert_close(hit[:, 0], theta.unflatten(1, (16, 2)), rtol=0, atol=1e-12)


@pytest.mark.parametrize("control", [0, 5, 15])
def test_one_moved_control_point_is_hit_and_the_others_stay(control):
    positions = TPS.controls.clone()
    positions[control] += torch.tensor([0.3, -0.2])
    hit = TPS(positions.flatten()[None], AT_CONTROLS)[0, 0]
    torch.testing.assert_close(hit, positions, rtol=0, atol=1e-12)


@pytest.mark.parametrize("control", [0, 5, 15])
def test_one_moved_control_point_is_no_affine_warp(control):
    positions = TPS.controls.clone()
    positions[control] += torch.tensor([0.3, 0.3])
    assert misfit_of_the_best_affine(TPS(positions.flatten()[None], GRID)[0]) > 0.05  # of half a side: 0.7 of a pixel
    assert misfit_of_the_best_affine(Affine()(random(1, 6), GRID)[0]) < 1e-12  # so that the measure can be believed


def test_solving_stays_exact_whatever_the_network_is_cast_to():
    cast = ThinPlateSpline().half().double()
    theta = TPS.controls.flatten()[None] + 0.1
    assert torch.equal(cast(theta, GRID), TPS(theta, GRID))


def test_a_pass_of_fake_tensors_leaves_no_control_points_behind():
    spline, theta = ThinPlateSpline(), ThinPlateSpline().identity()[None]
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        assert type(spline.coefficients(mode.from_tensor(theta))) is FakeTensor
    assert type(spline.coefficients(theta)) is torch.Tensor


@pytest.mark.parametrize(("rows", "columns"), [(1, 4), (4, 1), (0, 0)])
def test_a_grid_on_one_line_is_refused(rows, columns):
    with pytest.raises(ValueError, match=f"a grid of {rows} x {columns} control points lies on one line: use at least"):
        ThinPlateSpline(rows, columns)
