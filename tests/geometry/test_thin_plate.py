import numpy as np
import pytest
import torch
from scipy.interpolate import RBFInterpolator
from torch.autograd import gradcheck

from stn_bench.geometry import pixel_grid, thin_plate

GRID = pixel_grid(20, 28, dtype=torch.float64)
CONTROLS = thin_plate.control_grid(4, 4)


def random(*shape, seed=1):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_control_points_run_row_by_row_from_edge_to_edge():
    expected = [[-1, -1], [0, -1], [1, -1], [-1, 1], [0, 1], [1, 1]]
    assert thin_plate.control_grid(rows=2, columns=3).tolist() == expected


def test_the_kernel_is_r2_log_r2():
    points, controls = random(7, 2), random(5, 2, seed=2)
    r2 = np.square(points.numpy()[:, None] - controls.numpy()).sum(axis=-1)
    np.testing.assert_allclose(thin_plate.kernel(points, controls).numpy(), r2 * np.log(r2), atol=1e-13)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_kernel_is_zero_at_no_distance(dtype):
    points = random(500, 2).to(dtype)  # |p|^2 - 2 p c + |c|^2 rounds to either side of 0
    at_zero = thin_plate.kernel(points, points).diagonal()
    rounding = 20 * torch.finfo(dtype).eps  # of a squared distance of points about 1 from the origin
    assert at_zero.abs().max() < -rounding * np.log(rounding)
    assert at_zero.max() <= 0  # as r^2 log r^2 is for r < 1
    at_zero = thin_plate.kernel(torch.zeros(1, 2, dtype=dtype), torch.zeros(1, 2, dtype=dtype))
    assert abs(at_zero.item()) < 1e-30


def test_the_kernel_has_a_zero_and_finite_gradient_at_no_distance():
    point = torch.tensor([[0.25, -0.5]], requires_grad=True)
    thin_plate.kernel(point, point.detach()).sum().backward()
    assert point.grad.tolist() == [[0, 0]]


def test_a_spline_takes_its_values_at_its_control_points():
    at_controls = thin_plate.basis(CONTROLS[None], CONTROLS)[0]
    torch.testing.assert_close(at_controls, torch.eye(16, dtype=torch.float64), rtol=0, atol=1e-12)


def test_a_spline_through_a_plane_is_the_plane():
    slope, height = random(2, 2), random(2, seed=2)
    found = thin_plate.basis(GRID, CONTROLS) @ (CONTROLS @ slope + height)
    torch.testing.assert_close(found, GRID @ slope + height, rtol=0, atol=1e-12)


@pytest.mark.parametrize("controls", [CONTROLS, random(9, 2, seed=3)], ids=["grid", "scattered"])
def test_the_basis_agrees_with_scipy(controls):
    values = random(len(controls), 2, seed=4)
    spline = RBFInterpolator(controls.numpy(), values.numpy(), kernel="thin_plate_spline", degree=1)
    expected = spline(GRID.numpy().reshape(-1, 2)).reshape(20, 28, 2)
    np.testing.assert_allclose((thin_plate.basis(GRID, controls) @ values).numpy(), expected, atol=1e-10)


def test_splines_of_each_image_agree_with_scipy():
    source = CONTROLS + 0.1 * random(3, 16, 2)
    target = CONTROLS + 0.1 * random(3, 16, 2, seed=2)
    found = thin_plate.evaluate(thin_plate.solve(source, target), source, GRID)
    for image in range(3):
        spline = RBFInterpolator(source[image].numpy(), target[image].numpy(), kernel="thin_plate_spline", degree=1)
        expected = spline(GRID.numpy().reshape(-1, 2)).reshape(20, 28, 2)
        np.testing.assert_allclose(found[image].numpy(), expected, atol=1e-10)


def test_splines_of_each_image_hit_their_control_points():
    source = CONTROLS + 0.1 * random(3, 16, 2)
    target = CONTROLS + 0.1 * random(3, 16, 2, seed=2)
    weights = thin_plate.solve(source, target)
    for image in range(3):
        one = slice(image, image + 1)
        hit = thin_plate.evaluate(weights[one], source[one], source[one])
        torch.testing.assert_close(hit, target[one, None], rtol=0, atol=1e-11)


def test_points_of_each_image_are_moved_as_shared_ones():
    source = CONTROLS + 0.1 * random(3, 16, 2)
    weights = thin_plate.solve(source, CONTROLS.expand(3, -1, -1))
    own = thin_plate.evaluate(weights, source, GRID.expand(3, -1, -1, -1))
    torch.testing.assert_close(own, thin_plate.evaluate(weights, source, GRID), rtol=0, atol=1e-12)


@pytest.mark.parametrize("points", [GRID, GRID.expand(20, -1, -1, -1) + 0.01 * random(20, 1, 1, 2)], ids=["one", "own"])
def test_the_inverse_of_a_spline_finds_where_it_has_its_values(points):
    source, target = CONTROLS + 0.05 * random(20, 16, 2), CONTROLS + 0.05 * random(20, 16, 2, seed=2)
    found = thin_plate.invert(source, target, points)
    values = thin_plate.evaluate(thin_plate.solve(source, target), source, found)
    torch.testing.assert_close(values, points.expand_as(values), rtol=0, atol=1e-11)


def test_the_inverse_of_a_spline_is_searched_for_from_a_second_start_where_the_first_leads_astray(monkeypatch):
    source, target = CONTROLS + 0.2 * random(20, 16, 2), CONTROLS.expand(20, -1, -1)
    weights = thin_plate.solve(source, target)

    def share_found():
        values = thin_plate.evaluate(weights, source, thin_plate.invert(source, target, GRID))
        return ((values - GRID).norm(dim=-1) < 1e-3).double().mean()

    twice = share_found()
    monkeypatch.setattr(thin_plate, "ASTRAY", float("inf"))
    assert share_found() < twice - 0.01
    assert twice > 0.98


def test_the_inverse_of_a_spline_has_the_gradient_of_where_it_finds_its_values():
    source, target = CONTROLS + 0.05 * random(2, 16, 2), CONTROLS + 0.05 * random(2, 16, 2, seed=2)
    points = pixel_grid(3, 4, dtype=torch.float64)
    assert gradcheck(thin_plate.invert, [each.requires_grad_() for each in (source, target, points)])


def test_the_gradient_of_an_inverse_is_finite_where_the_spline_folds_over():
    source = (CONTROLS + random(20, 16, 2)).requires_grad_()
    thin_plate.invert(source, CONTROLS.expand(20, -1, -1), GRID).sum().backward()
    assert source.grad.isfinite().all()


def test_a_spline_is_solved_where_its_control_points_are_wherever_the_points_lie(monkeypatch):
    solved_on = []
    invert = torch.linalg.inv
    monkeypatch.setattr(torch.linalg, "inv", lambda matrix: solved_on.append(matrix.device.type) or invert(matrix))
    found = thin_plate.basis(GRID.float().to("meta"), CONTROLS)
    assert (found.device.type, found.dtype, found.shape) == ("meta", torch.float32, (20, 28, 16))
    assert solved_on == ["cpu"]


@pytest.mark.skipif(not torch.backends.mps.is_available(), reason="needs Apple's GPU")
def test_a_device_without_double_precision_gets_the_basis_of_double_precision():
    points = GRID.float()
    assert torch.equal(thin_plate.basis(points.to("mps"), CONTROLS).cpu(), thin_plate.basis(points, CONTROLS))


def test_shared_points_and_each_images_own_have_the_same_basis():
    own = thin_plate.basis(GRID.expand(2, -1, -1, -1), CONTROLS)
    torch.testing.assert_close(own, thin_plate.basis(GRID, CONTROLS).expand_as(own), rtol=0, atol=1e-13)


def test_float32_points_get_the_float64_basis():
    points = GRID.float()
    assert torch.equal(thin_plate.basis(points, CONTROLS), thin_plate.basis(points.double(), CONTROLS).float())


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_control_points_are_refused(count):
    with pytest.raises(ValueError, match=f"^{count} control points cannot fix a thin-plate spline: give at least 3"):
        thin_plate.basis(GRID, random(count, 2))


def test_control_points_that_are_trained_are_looked_at_too():
    with pytest.raises(ValueError, match="control points on one line"):
        thin_plate.basis(pixel_grid(4, 4), torch.nn.Parameter(torch.tensor([[-1.0, 0], [0, 0], [1, 0]])))


def test_coincident_control_points_are_refused_by_number():
    controls = CONTROLS.clone()
    controls[11] = controls[6]
    with pytest.raises(ValueError, match=r"^control points 6 and 11 of a thin-plate spline coincide: move one"):
        thin_plate.basis(GRID, controls)


@pytest.mark.parametrize("direction", [(1.0, 0.0), (0.0, 1.0), (0.3, -0.7)])
def test_control_points_on_one_line_are_refused(direction):
    line = torch.linspace(-1, 1, 4, dtype=torch.float64)[:, None] * torch.tensor(direction, dtype=torch.float64) + 0.1
    with pytest.raises(ValueError, match=r"^4 control points on one line cannot fix a thin-plate spline: move one off"):
        thin_plate.basis(GRID, line)
