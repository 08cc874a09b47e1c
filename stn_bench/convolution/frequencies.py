"""A convolution of many channels with a large kernel, in the frequency domain.

There a convolution is a product for each frequency. For 10 x 10 pixels and a 7 x 7 kernel, of 16 outputs, that is
4 x 60 multiplications for each pair of channels instead of 16 x 49; the Fourier transforms, of each channel alone,
are products with constant matrices. The plain equivalent is `torch.nn.functional.conv2d`; what it gains is in
outputs/reference/benchmark.json.
"""

import torch
from torch import Tensor

from stn_bench.convolution.fourier import fourier, kind

WORTH = 0.8
"""How many times fewer multiplications must be left: not one, as no layout has to be changed for the library."""


def pay(size: tuple[int, int], kernel: int, filters: int, channels: int, dtype: torch.dtype) -> bool:
    """Whether a convolution of images of `size` (H, W) with k x k kernels is faster in the frequency domain."""
    transform = kind(dtype)
    height, width = (side - kernel + 1 for side in size)
    direct = height * width * kernel**2 * filters * channels
    products = 4 * transform.frequencies(*size) * filters * channels
    here = products + transform.cost(size, *size) * channels + transform.cost(size, height, width) * filters
    return direct > WORTH * here


def convolve(images: Tensor, weight: Tensor) -> Tensor:
    """Images (H, W, C, B) and weight (F, C, k, k), of one dtype -> (H - k + 1, W - k + 1, F, B)."""
    height, width, channels, batch = images.shape
    filters, _, size, _ = weight.shape
    transform = fourier(height, width, images.dtype)
    seen = transform.ahead(images.flatten(2)).view(-1, 2 * channels, batch)  # (K, 2 C, B)
    kernel = transform.ahead(weight.permute(2, 3, 0, 1).flatten(2)).view(-1, 2, filters, channels)
    real, imaginary = kernel.unbind(1)
    # the product with the kernel's conjugate (the layers of a network correlate), in real numbers
    mixed = torch.cat([torch.cat([real, imaginary], 2), torch.cat([-imaginary, real], 2)], 1)  # (K, 2 F, 2 C)
    outputs = transform.back(mixed @ seen, height - size + 1, width - size + 1)
    return outputs.view(*outputs.shape[:2], filters, batch)
