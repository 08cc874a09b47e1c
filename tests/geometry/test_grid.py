import pytest
import torch

from stn_bench.geometry import pixel_grid


def test_pixel_centres_lie_where_the_convention_puts_them():
    grid = pixel_grid(2, 4)  # the picture in geometry/README.md
    assert grid[0, :, 0].tolist() == [-3 / 4, -1 / 4, 1 / 4, 3 / 4]
    assert grid[:, 0, 1].tolist() == [-1 / 2, 1 / 2]


def test_x_comes_first_and_y_points_down():
    grid = pixel_grid(20, 28)
    assert grid.shape == (20, 28, 2)
    assert torch.equal(grid[..., 0], grid[:1, :, 0].expand(20, 28))  # x is the same in each row ...
    assert torch.equal(grid[..., 1], grid[:, :1, 1].expand(20, 28))  # ... and y in each column
    assert (grid[:, 1:, 0] > grid[:, :-1, 0]).all()
    assert (grid[1:, :, 1] > grid[:-1, :, 1]).all()


@pytest.mark.parametrize("side", [1, 7, 28, 42])
def test_centres_are_half_a_pixel_inside_of_the_outer_edges(side):
    grid = pixel_grid(side, side, dtype=torch.float64)
    assert float(grid.max()) == pytest.approx(1 - 1 / side, abs=1e-15)
    assert float(grid.min()) == pytest.approx(1 / side - 1, abs=1e-15)


def test_pooling_twice_moves_nothing():
    fine = pixel_grid(20, 28, dtype=torch.float64)
    pooled = torch.nn.functional.avg_pool2d(fine.permute(2, 0, 1), 2).permute(1, 2, 0)
    torch.testing.assert_close(pooled, pixel_grid(10, 14, dtype=torch.float64), rtol=0, atol=1e-15)


def test_float32_centres_are_the_nearest_to_the_exact_ones():
    assert torch.equal(pixel_grid(42, 29), pixel_grid(42, 29, dtype=torch.float64).float())


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (-1, 3)])
def test_an_image_without_pixels_has_no_grid(size):
    with pytest.raises(ValueError, match=rf"{size[0]} x {size[1]} pixels has no grid"):
        pixel_grid(*size)
