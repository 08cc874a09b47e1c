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
    """Images (H, W, B), contiguous, and weight (F, k, k), of one dtype -> (H - k + 1, W - k + 1, B, F)."""
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
        return (patches.t() @ weight.flatten(1).t()).view(rows, columns, batch, -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        patches, weight = ctx.saved_tensors
        flat = gradient.reshape(-1, len(weight))  # (rows columns B, F)
        weight_gradient = (patches @ flat).t().reshape(weight.shape) if ctx.needs_input_grad[1] else None
        image_gradient = None
        if ctx.needs_input_grad[0]:
            height, width, batch = ctx.shape
            rows, columns = gradient.shape[:2]
            size = weight.shape[-1]
            by_offset = (weight.flatten(1).t() @ flat.t()).view(size, size, rows, columns, batch)
            # each patch's gradient goes back to where the patch was cut: along x, then along y; in float32 at least
            precise = torch.promote_types(gradient.dtype, torch.float32)
            along_x = gradient.new_zeros(size, rows, width, batch, dtype=precise)
            for x in range(size):
                along_x[:, :, x : x + columns] += by_offset[:, x]
            both = gradient.new_zeros(height, width, batch, dtype=precise)
            for y in range(size):
                both[y : y + rows] += along_x[y]
            image_gradient = both.to(gradient.dtype)
        return image_gradient, weight_gradient
