import pytest
import torch

from stn_bench.geometry import affine, homography, pixel_grid, sample

SQUARE = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]], dtype=torch.float64)


def random(*shape, seed=1):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def quads(n, seed=1):
    return SQUARE + 0.2 * random(n, 4, 2, seed=seed)


def near_identity(n):
    matrix = torch.eye(3, dtype=torch.float64) + 0.15 * random(n, 3, 3)
    return matrix / matrix[:, 2:, 2:]


def test_the_homography_through_four_corners_hits_them():
    source, target = quads(50, seed=1), quads(50, seed=2)
    matrix = homography.from_corners(source, target)
    torch.testing.assert_close(homography.apply(matrix, source[:, None])[:, 0], target, rtol=0, atol=1e-12)


def test_the_homography_that_made_the_corners_is_found():
    matrix, source = near_identity(50), quads(50)
    target = homography.apply(matrix, source[:, None])[:, 0]
    torch.testing.assert_close(homography.from_corners(source, target), matrix, rtol=0, atol=1e-11)


def test_float32_corners_are_solved_in_float64():
    source, target = quads(50, seed=1).float(), quads(50, seed=2).float()
    matrix = homography.from_corners(source, target)
    assert torch.equal(matrix, homography.from_corners(source.double(), target.double()).float())


@pytest.mark.parametrize("left_out", range(4))
def test_three_corners_on_one_line_are_refused(left_out):
    corners = torch.tensor([[-1.0, -1.0], [0.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
    apex = torch.tensor([[1.0, -1.0]], dtype=torch.float64)
    source = torch.cat([corners[:left_out], apex, corners[left_out:]])
    with pytest.raises(torch.linalg.LinAlgError):
        homography.from_corners(source[None], SQUARE[None])


def test_a_last_row_of_zeros_and_one_is_an_affine_map():
    matrix = random(4, 2, 3)
    last = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64).expand(4, 1, 3)
    points = pixel_grid(20, 28, dtype=torch.float64)
    found = homography.apply(torch.cat([matrix, last], dim=1), points)
    torch.testing.assert_close(found, affine.apply(matrix, points), rtol=0, atol=1e-14)


def test_an_inverse_undoes_its_homography():
    matrix, points = near_identity(8), pixel_grid(5, 4, dtype=torch.float64)
    there = homography.apply(matrix, points)
    assert there.abs().max() < homography.OUT_OF_SIGHT  # so that all of them can come back
    back = homography.apply(homography.invert(matrix), there)
    torch.testing.assert_close(back, points.expand_as(back), rtol=0, atol=1e-11)


@pytest.mark.parametrize("z", [-1e30, -1.0, -1e-6, -0.0, 0.0, 1e-30, homography.HORIZON / 2])
def test_what_lies_at_or_behind_the_horizon_is_out_of_sight_with_zero_gradient(z):
    homogeneous = torch.tensor([[0.3, -0.2, z]], requires_grad=True)
    points = homography.divide(homogeneous)
    assert points.tolist() == [[homography.OUT_OF_SIGHT, homography.OUT_OF_SIGHT]]
    points.sum().backward()
    assert homogeneous.grad.tolist() == [[0, 0, 0]]


@pytest.mark.parametrize("z", [1.01 * homography.HORIZON, 0.5, 3.0])
def test_what_lies_before_the_horizon_is_divided_by_z(z):
    homogeneous = torch.tensor([[0.3, -0.2, z]], dtype=torch.float64, requires_grad=True)
    points = homography.divide(homogeneous)
    assert points[0].tolist() == pytest.approx([0.3 / z, -0.2 / z], rel=1e-12)
    points[0, 0].backward()
    assert homogeneous.grad[0].tolist() == pytest.approx([1 / z, 0, -0.3 / z**2], rel=1e-12)


def test_dividing_has_gradients_of_any_order():
    homogeneous = torch.tensor([[0.3, -0.2, 0.9], [0.5, 0.1, 1.3], [0.2, 0.4, -0.5]], dtype=torch.float64)
    assert torch.autograd.gradcheck(homography.divide, homogeneous.requires_grad_())
    assert torch.autograd.gradgradcheck(homography.divide, homogeneous)


def test_what_is_out_of_sight_is_black_or_with_a_border_the_pixel_at_the_bottom_right():
    points = homography.divide(torch.tensor([0.0, 0.0, -1.0])).expand(1, 4, 4, 2)
    image = torch.rand(1, 1, 28, 28, generator=torch.Generator().manual_seed(1))
    assert sample(image, points).eq(0).all()
    assert sample(image, points, padding="border").eq(image[..., -1:, -1:]).all()


def test_a_jacobian_is_the_same_at_once_and_row_by_row():
    matrices = torch.eye(3)[None] + 0.1 * torch.rand(1, 3, 3, generator=torch.Generator().manual_seed(1))
    grid = pixel_grid(3, 4)
    at_once, by_row = (
        torch.autograd.functional.jacobian(lambda matrix: homography.apply(matrix, grid), matrices, vectorize=vectorize)
        for vectorize in (True, False)
    )
    torch.testing.assert_close(at_once, by_row)
