"""Convolution and max pooling: the library's on a GPU, on the CPU whichever way is fastest for the shape.

On the CPU features lie pixel by pixel, (H, W, C, B) in memory, whatever view of them is handed around: a patch, a
pooling window and a Fourier transform are then sums over a few long, contiguous blocks.
"""

import torch
from torch import Tensor
from torch.nn import functional

from stn_bench.convolution import frequencies, patches, pooling


def convolve(images: Tensor, weight: Tensor) -> Tensor:
    """`torch.nn.functional.conv2d(images, weight)`: images (B, C, H, W), weight (F, C, k, k) -> (B, F, H', W').

    H' = H - k + 1. The result has autocast's dtype where autocast is on. On the CPU one-channel images are convolved
    as patches times a matrix, kernels as large as the image as one matrix product, and large kernels of many channels
    in the frequency domain.
    """
    if images.device.type != "cpu" or weight.shape[-2] != weight.shape[-1]:
        return functional.conv2d(images, weight)
    if torch.is_autocast_enabled("cpu"):
        dtype = torch.get_autocast_dtype("cpu")
        images, weight = images.to(dtype), weight.to(dtype)
    with torch.autocast("cpu", enabled=False):
        size = weight.shape[-1]
        if images.shape[-2:] == weight.shape[-2:]:
            matrix = weight.permute(0, 2, 3, 1).flatten(1)  # (F, H W C)
            return _from_pixel_major((matrix @ _pixel_major(images).flatten(0, 2))[None, None])
        if images.shape[1] == 1:
            return _from_pixel_major(patches.convolve(_pixel_major(images)[:, :, 0].contiguous(), weight[:, 0]))
        if frequencies.pay((images.shape[-2], images.shape[-1]), size, *weight.shape[:2]):
            return _from_pixel_major(frequencies.convolve(_pixel_major(images), weight))
        return functional.conv2d(images, weight)


def max_pool(images: Tensor, ceil_mode: bool = False) -> Tensor:
    """`torch.nn.functional.max_pool2d(images, 2, ceil_mode=ceil_mode)`: (B, C, H, W) to half of H and W."""
    features = _pixel_major(images)
    if images.device.type != "cpu" or not features.is_contiguous():
        return functional.max_pool2d(images, 2, ceil_mode=ceil_mode)
    return _from_pixel_major(pooling.max_pool(features, ceil_mode))


def _pixel_major(images: Tensor) -> Tensor:
    return images.permute(2, 3, 1, 0)


def _from_pixel_major(features: Tensor) -> Tensor:
    return features.permute(3, 2, 0, 1)
