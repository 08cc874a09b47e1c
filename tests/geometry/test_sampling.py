import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates
from torch.autograd import gradcheck

from stn_bench.geometry import pixel_grid, sample


def random(*shape, seed=1, dtype=torch.float64):
    return torch.rand(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def anywhere(*shape, reach=1.3):
    """Points inside of the frame and a little outside of it."""
    return reach * (2 * random(*shape, 2, seed=2) - 1)


@pytest.mark.parametrize("size", [(28, 28), (20, 28)])
@pytest.mark.parametrize("kernel", ["bilinear", "nearest", "bicubic"])
def test_an_image_read_at_its_pixel_centres_is_itself(kernel, size):
    image = random(2, 3, *size)
    points = pixel_grid(*size, dtype=torch.float64).expand(2, -1, -1, -1)
    torch.testing.assert_close(sample(image, points, kernel), image, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("padding", "mode"), [("zeros", "grid-constant"), ("border", "nearest")])
@pytest.mark.parametrize("size", [(28, 28), (20, 28)])
def test_bilinear_reading_agrees_with_scipy(size, padding, mode):
    image, points = random(2, 1, *size), anywhere(2, 17, 13)
    x, y = ((points.numpy()[..., axis] + 1) / 2 * size[1 - axis] - 0.5 for axis in (0, 1))
    for found, pixels, rows, columns in zip(sample(image, points, padding=padding), image, y, x, strict=True):
        # "grid-constant": zeros are pixels too, so that the half pixel inside of the frame's edge fades towards them
        expected = map_coordinates(pixels[0].numpy(), [rows, columns], order=1, mode=mode)
        np.testing.assert_allclose(found[0].numpy(), expected, atol=1e-12)


def test_nearest_reading_takes_the_pixel_around_the_point():
    image, points = random(1, 1, 20, 28), anywhere(1, 17, 13, reach=1)
    column = ((points[0, ..., 0] + 1) / 2 * 28).floor().long()
    row = ((points[0, ..., 1] + 1) / 2 * 20).floor().long()
    assert torch.equal(sample(image, points, "nearest")[0, 0], image[0, 0, row, column])


def test_bicubic_reading_is_keys_cubic_convolution():
    def weights(distance, a=-0.75):  # Keys 1981, equation 4
        t = distance.abs()
        outer = a * (t**3 - 5 * t**2 + 8 * t - 4) * (t < 2)
        return torch.where(t <= 1, (a + 2) * t**3 - (a + 3) * t**2 + 1, outer)

    image, points = random(1, 1, 20, 28), anywhere(1, 17, 13)
    along_x = weights((points[0, ..., :1] + 1) / 2 * 28 - 0.5 - torch.arange(28))
    along_y = weights((points[0, ..., 1:] + 1) / 2 * 20 - 0.5 - torch.arange(20))
    expected = torch.einsum("nm,ijm,ijn->ij", image[0, 0], along_x, along_y)
    torch.testing.assert_close(sample(image, points, "bicubic")[0, 0], expected, rtol=0, atol=1e-12)


def test_zeros_lie_outside_of_the_frame_and_fade_in_over_one_pixel():
    points = torch.tensor([[-1 - 1 / 28, 0], [-1, 0], [-1 + 1 / 28, 0], [1e3, 1e3]], dtype=torch.float64)
    read = sample(torch.ones(1, 1, 28, 28, dtype=torch.float64), points.view(1, 1, 4, 2)).flatten()
    assert read.tolist() == pytest.approx([0, 0.5, 1, 0], abs=1e-12)


def test_border_padding_repeats_the_edge_pixels():
    image = random(1, 1, 20, 28)
    points = torch.tensor([[-7, -9], [7, -9], [0.25 / 7, 9], [1e3, 1e3]], dtype=torch.float64).view(1, 1, 4, 2)
    expected = image[0, 0, [0, 0, -1, -1], [0, -1, 14, -1]]
    torch.testing.assert_close(sample(image, points, padding="border").flatten(), expected, rtol=0, atol=1e-12)


def test_a_black_background_joins_what_lies_outside_without_a_seam():
    image = torch.zeros(1, 1, 20, 28, dtype=torch.float64)
    image[..., 1:-1, 1:-1] = random(18, 26)
    points = anywhere(1, 50, 50)
    assert torch.equal(sample(image, points, padding="zeros"), sample(image, points, padding="border"))


def test_reading_is_done_in_float32_whatever_the_images_precision():
    image, points = random(1, 1, 28, 28).bfloat16(), anywhere(1, 28, 28).float()
    read = sample(image, points)
    assert read.dtype == torch.bfloat16
    assert torch.equal(read, sample(image.float(), points).bfloat16())


@pytest.mark.parametrize("kernel", ["bilinear", "bicubic"])
def test_autocast_changes_nothing(kernel):
    image, points = random(1, 1, 28, 28).float(), anywhere(1, 28, 28).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        read = sample(image, points, kernel)
    assert torch.equal(read, sample(image, points, kernel))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.bool])
def test_whole_numbers_are_refused_which_would_be_cut(dtype):
    with pytest.raises(ValueError, match=f"an image of {dtype} cannot be read between its pixels"):
        sample(torch.ones(1, 1, 4, 4, dtype=dtype), pixel_grid(4, 4)[None])


def test_an_unknown_kernel_is_refused_and_the_known_ones_are_named():
    with pytest.raises(ValueError, match="unknown sampling kernel 'cubic': use one of bilinear, nearest, bicubic"):
        sample(torch.ones(1, 1, 2, 2), torch.zeros(1, 1, 1, 2), "cubic")


def test_an_unknown_padding_is_refused_and_the_known_ones_are_named():
    with pytest.raises(ValueError, match="unknown padding 'reflection': use one of zeros, border"):
        sample(torch.ones(1, 1, 2, 2), torch.zeros(1, 1, 1, 2), padding="reflection")


@pytest.mark.parametrize("padding", ["zeros", "border"])
def test_gradients_are_right_between_pixel_centres(padding):
    image = random(2, 2, 5, 6).requires_grad_()
    points = anywhere(2, 4, 3).requires_grad_()
    assert gradcheck(lambda pixels, at: sample(pixels, at, padding=padding), (image, points))


def test_the_images_gradient_is_right_on_pixel_centres():
    points = pixel_grid(5, 6, dtype=torch.float64)[None]
    assert gradcheck(lambda pixels: sample(pixels, points), random(1, 2, 5, 6).requires_grad_())


def test_on_a_pixel_centre_the_points_gradient_is_the_one_sided_derivative():
    # bilinear reading has a kink there, so there is no two-sided derivative for gradcheck to find;
    # a width of 4 and a height of 2 make the centres exact in binary
    image = random(1, 1, 2, 4)
    points = torch.tensor([-0.25, -0.5], dtype=torch.float64).view(1, 1, 1, 2).requires_grad_()  # column 1, row 0
    sample(image, points).sum().backward()
    to_the_right = (image[0, 0, 0, 2] - image[0, 0, 0, 1]) / (2 / 4)
    downwards = (image[0, 0, 1, 1] - image[0, 0, 0, 1]) / (2 / 2)
    torch.testing.assert_close(points.grad.flatten(), torch.stack([to_the_right, downwards]), rtol=0, atol=1e-12)


def test_nearest_reading_has_no_gradient_for_the_points():
    points = anywhere(1, 4, 3).requires_grad_()
    sample(random(1, 1, 5, 6), points, "nearest").sum().backward()
    assert points.grad.eq(0).all()
