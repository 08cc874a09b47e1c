"""A convolution of a one-channel image as patches times a matrix.

With a transformer in front, the first convolution's backward pass needs the gradient of a one-channel image, for
which oneDNN has no fast kernel. The plain equivalent is `torch.nn.functional.conv2d`; what it gains is in
outputs/reference/benchmark.json.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def convolve(images: Tensor, weight: Tensor) -> Tensor:
    """Images (H, W, B), contiguous, and weight (F, k, k), of one dtype -> (H - k + 1, W - k + 1, F, B)."""
    features: Tensor = _Patches.apply(images, weight)
    return features


class _Patches(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor) -> Tensor:
        height, width, batch = images.shape
        size = weight.shape[-1]
        rows, columns = height - size + 1, width - size + 1
        down, right = width * batch, batch
        views = images.as_strided(
            (size, size, rows, columns, batch), (down, right, down, right, 1), images.storage_offset()
        )
        patches = views.reshape(size * size, -1)  # (k^2, rows columns B)
        ctx.save_for_backward(patches, weight)
        ctx.shape = images.shape
        by_pixel = patches.unflatten(1, (-1, batch)).transpose(0, 1)
        return _for_each(weight.flatten(1), by_pixel).view(rows, columns, -1, batch)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        patches, weight = ctx.saved_tensors
        rows, columns, filters, batch = gradient.shape
        size = weight.shape[-1]
        weight_gradient = image_gradient = None
        if ctx.needs_input_grad[1]:
            flat = gradient.permute(2, 0, 1, 3).reshape(filters, -1)  # (F, rows columns B)
            weight_gradient = (flat @ patches.t()).view_as(weight)
        if ctx.needs_input_grad[0]:
            height, width, _ = ctx.shape
            by_offset = _for_each(weight.flatten(1).t().contiguous(), gradient.reshape(-1, filters, batch))
            by_offset = by_offset.view(rows, columns, size, size, batch)
            # each patch's gradient goes back to where the patch was cut: along x, then along y; in float32 at least
            precise = torch.promote_types(gradient.dtype, torch.float32)
            along_x = gradient.new_zeros(rows, width, size, batch, dtype=precise)
            for x in range(size):
                along_x[:, x : x + columns] += by_offset[:, :, :, x]
            both = gradient.new_zeros(height, width, batch, dtype=precise)
            for y in range(size):
                both[y : y + rows] += along_x[:, :, y]
            image_gradient = both.to(gradient.dtype)
        return image_gradient, weight_gradient


def _for_each(matrix: Tensor, by_pixel: Tensor) -> Tensor:
    """The product of a matrix (M, N) with the features of each pixel (pixels, N, B): (pixels, M, B).

    A product for each pixel stays in the cache: in single precision that takes two thirds of the time of one for all.
    """
    return torch.bmm(matrix.expand(len(by_pixel), -1, -1), by_pixel)
