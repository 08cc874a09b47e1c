"""Convolution and max pooling, whichever way is fastest for the shape.

Features lie pixel by pixel, (H, W, C, B) in memory, whatever view of them is handed around: a patch, a pooling window
and a Fourier transform are then sums over a few long, contiguous blocks.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from stn_bench.convolution import frequency_domain, patches, pooling


def convolve(images: Tensor, weight: Tensor) -> Tensor:
    """`torch.nn.functional.conv2d(images, weight)`: images (B, C, H, W), weight (F, C, k, k) -> (B, F, H', W').

    H' = H - k + 1. The result has autocast's dtype where autocast is on. Kernels as large as the image are one matrix
    product, and large kernels of many channels are convolved in the frequency domain.
    """
    if not _have_own_ways(images, weight):
        return functional.conv2d(images, weight)
    images, weight = _as_autocast(images, weight)
    with torch.autocast(images.device.type, enabled=False):
        filters, channels, size, _ = weight.shape
        if images.shape[-2:] == weight.shape[-2:]:
            matrix = weight.permute(0, 2, 3, 1).flatten(1)  # (F, H W C)
            return _from_pixel_major((matrix @ _pixel_major(images).flatten(0, 2))[None, None])
        if frequency_domain.pays_off((images.shape[-2], images.shape[-1]), size, filters, channels, images.dtype):
            return _from_pixel_major(frequency_domain.convolve(_pixel_major(images), weight))
        return functional.conv2d(images, weight)


def convolve_relu(images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """`relu(convolve(images, weight) + bias)`."""
    return _relu(convolve(images, weight), bias)


def convolve_relu_pool(images: Tensor, weight: Tensor, bias: Tensor, ceil_mode: bool = False) -> Tensor:
    """`max_pool(convolve_relu(images, weight, bias), ceil_mode)`; one-channel images go through all of it as patches.

    Others are pooled first: the same result, as the rest is monotonic, on a quarter of the pixels.
    """
    fits = ceil_mode or all(side > weight.shape[-1] for side in images.shape[-2:])  # there is a window to pool
    whole = images.shape[-2:] == weight.shape[-2:]
    if images.shape[1] != 1 or whole or not fits or not _have_own_ways(images, weight):
        return _relu(max_pool(convolve(images, weight), ceil_mode), bias)
    images, weight, bias = _as_autocast(images, weight, bias)
    with torch.autocast(images.device.type, enabled=False):
        pooled = patches.convolve_relu_pool(_pixel_major(images)[:, :, 0], weight[:, 0], bias, ceil_mode)
        return _from_pixel_major(pooled)


def max_pool(images: Tensor, ceil_mode: bool = False) -> Tensor:
    """`torch.nn.functional.max_pool2d(images, 2, ceil_mode=ceil_mode)`: (B, C, H, W) to half of H and W."""
    if not (_known(images) and min(images.shape[-2:]) > 1 and _pixel_major(images).is_contiguous()):
        return functional.max_pool2d(images, 2, ceil_mode=ceil_mode)
    return _from_pixel_major(pooling.max_pool(_pixel_major(images), ceil_mode))


def average_pool(images: Tensor) -> Tensor:
    """`torch.nn.functional.avg_pool2d(images, 2)`: (B, C, H, W) to half of H and W, without a last odd row and column.

    As three sums of views: on the CPU a quarter of the library's time for one channel, a third with the gradient.
    """
    if images.dtype == torch.float16 or min(images.shape[-2:]) < 2:  # whose sums overflow; which cannot be pooled
        return functional.avg_pool2d(images, 2)
    height, width = (side // 2 * 2 for side in images.shape[-2:])
    rows = images[..., 0:height:2, :] + images[..., 1:height:2, :]
    return (rows[..., 0:width:2] + rows[..., 1:width:2]) / 4


def _relu(features: Tensor, bias: Tensor) -> Tensor:
    return (features + bias.to(features.dtype)[:, None, None]).relu()


def _have_own_ways(images: Tensor, weight: Tensor) -> bool:
    """Whether kernels are square and fit the images; where they do not, the library says so."""
    if not _known(images):
        return False
    channels, height, width = images.shape[1:]
    return weight.shape[1] == channels and weight.shape[2] == weight.shape[3] <= min(height, width)


def _known(images: Tensor) -> bool:
    """Whether the ways were measured on such a device, and for a batch. A compiler has ways of its own."""
    if images.device.type not in ("cpu", "cuda") or torch.compiler.is_compiling():
        return False
    return images.ndim == 4 and len(images) > 0 and images.is_floating_point()


def _as_autocast(*tensors: Tensor) -> Sequence[Tensor]:
    """The tensors in autocast's dtype where it is on, but for doubles, which it leaves alone."""
    kind = tensors[0].device.type
    if not torch.is_autocast_enabled(kind):
        return tensors
    dtype = torch.get_autocast_dtype(kind)
    return [tensor if tensor.dtype == torch.float64 else tensor.to(dtype) for tensor in tensors]


def _pixel_major(images: Tensor) -> Tensor:
    return images.permute(2, 3, 1, 0)


def _from_pixel_major(features: Tensor) -> Tensor:
    return features.permute(3, 2, 0, 1)
