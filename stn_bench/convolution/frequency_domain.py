"""A convolution of many channels with a large kernel, in the frequency domain.

There a convolution is a product for each frequency. For 10 x 10 pixels and a 7 x 7 kernel, of 16 outputs, that is
4 x 52 multiplications for each pair of channels instead of 16 x 49; the Fourier transforms, of each channel alone,
are products with constant matrices. Rounding is that of the brightest pixel of an image, in all of it. The plain
equivalent is `torch.nn.functional.conv2d`; what it gains is in outputs/reference/benchmark.json.
"""

import math

import torch
from torch import Tensor

from stn_bench.convolution.fourier import ahead, back, fourier, frequency_count, kind

WORTH = 0.8
"""How many times fewer multiplications must be left: not one, as no layout has to be changed for the library."""


def pays_off(size: tuple[int, int], kernel: int, filters: int, channels: int, dtype: torch.dtype) -> bool:
    """Whether images of `size` (H, W) are convolved with k x k kernels faster, and safely, in the frequency domain."""
    if dtype == torch.float16:
        return False  # the sum of all pixels, which is a frequency, may be too large a number
    cost = kind(dtype).cost
    result = (size[0] - kernel + 1, size[1] - kernel + 1)
    direct = math.prod(result) * kernel**2 * filters * channels
    products = 4 * frequency_count(size) * filters * channels
    return direct > WORTH * (products + cost(size, size) * channels + cost(size, result) * filters)


def convolve(images: Tensor, weight: Tensor) -> Tensor:
    """Images (H, W, C, B) and weight (F, C, k, k), of one dtype -> (H - k + 1, W - k + 1, F, B)."""
    height, width, channels, batch = images.shape
    filters, _, size, _ = weight.shape
    transform = fourier((height, width), size, images.dtype, images.device)
    seen = ahead(transform.image, images.reshape(height * width, -1)).view(-1, 2 * channels, batch)  # (K, 2 C, B)
    kernel = ahead(transform.kernel, weight.permute(2, 3, 0, 1).reshape(size**2, -1)).view(-1, 2, filters, channels)
    real, imaginary = kernel.unbind(1)
    # the product with the kernel's conjugate (the layers of a network correlate), in real numbers
    mixed = torch.cat([torch.cat([real, imaginary], 2), torch.cat([-imaginary, real], 2)], 1)  # (K, 2 F, 2 C)
    product = (mixed @ seen).view(-1, filters * batch)  # (2 K, F B)
    return back(transform.inverse, product).view(height - size + 1, width - size + 1, filters, batch)
