"""A convolution of many channels with a large kernel, in the frequency domain.

There a convolution is a product for each frequency. For 10 x 10 pixels and a 7 x 7 kernel, of 16 outputs, that is
4 x 52 multiplications for each pair of channels instead of 16 x 49; the Fourier transforms, of each channel alone,
are products with constant matrices. The plain equivalent is `torch.nn.functional.conv2d`; what it gains is in
outputs/reference/benchmark.json.
"""

import functools
import math
from typing import NamedTuple

import torch
from torch import Tensor

WORTH = 0.8
"""How many times fewer multiplications must be left: not one, as no layout has to be changed for the library."""


class Fourier(NamedTuple):
    """The transforms of an image of N pixels, a kernel, and the Q pixels of the result, over K frequencies."""

    image: Tensor
    """(2 K, N): of each frequency the real part, then the imaginary part."""
    kernel: Tensor
    """(2 K, k^2)."""
    inverse: Tensor
    """(Q, 2 K): from frequencies back to the pixels of the result."""


def pay(size: tuple[int, int], kernel: int, filters: int, channels: int) -> bool:
    """Whether a convolution of images of `size` (H, W) with k x k kernels is faster in the frequency domain."""
    pixels = size[0] * size[1]
    outputs = (size[0] - kernel + 1) * (size[1] - kernel + 1)
    rows = pixels + 2  # about 2 K
    direct = outputs * kernel**2 * filters * channels
    here = 2 * rows * filters * channels + rows * pixels * channels + rows * outputs * filters
    return direct > WORTH * here


def convolve(images: Tensor, weight: Tensor) -> Tensor:
    """Images (H, W, C, B) and weight (F, C, k, k), of one dtype -> (H - k + 1, W - k + 1, F, B)."""
    height, width, channels, batch = images.shape
    filters, _, size, _ = weight.shape
    transform = fourier(height, width, size, images.dtype)
    seen = (transform.image @ images.reshape(height * width, -1)).view(-1, 2 * channels, batch)  # (K, 2 C, B)
    kernel = (transform.kernel @ weight.permute(2, 3, 0, 1).reshape(size**2, -1)).view(-1, 2, filters, channels)
    real, imaginary = kernel.unbind(1)
    # the product with the kernel's conjugate (the layers of a network correlate), in real numbers
    mixed = torch.cat([torch.cat([real, imaginary], 2), torch.cat([-imaginary, real], 2)], 1)  # (K, 2 F, 2 C)
    product = (mixed @ seen).view(len(transform.image), -1)  # (2 K, F B)
    return (transform.inverse @ product).view(height - size + 1, width - size + 1, filters, batch)


@functools.cache
@torch.inference_mode(False)  # kept, they may serve training next
def fourier(height: int, width: int, size: int, dtype: torch.dtype) -> Fourier:
    """The transforms for images of height x width pixels and kernels of size x size, from float64.

    The discrete Fourier transform is as long as the image: what wraps around falls outside of the result. Of two
    conjugate frequencies one is kept.
    """
    frequencies, counted = [], []
    for y in range(height):
        for x in range(width):
            conjugate = (-y % height, -x % width)
            if (y, x) <= conjugate:
                frequencies.append((y / height, x / width))
                counted.append(1.0 if (y, x) == conjugate else 2.0)
    waves = 2 * math.pi * torch.tensor(frequencies, dtype=torch.float64)  # (K, 2)

    def parts(rows: int, columns: int) -> Tensor:
        pixels = torch.cartesian_prod(torch.arange(rows).double(), torch.arange(columns).double())
        angles = waves @ pixels.t()  # (K, pixels)
        return torch.stack([angles.cos(), -angles.sin()], dim=1).flatten(0, 1)

    weights = torch.tensor(counted, dtype=torch.float64).repeat_interleave(2)[:, None] / (height * width)
    inverse = parts(height - size + 1, width - size + 1) * weights
    return Fourier(
        *(matrix.to(dtype).contiguous() for matrix in (parts(height, width), parts(size, size), inverse.t()))
    )
