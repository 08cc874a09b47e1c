"""2x2 max pooling of features that lie pixel by pixel in memory.

A window's four pixels are then four blocks, and pooling is a few passes over blocks; the library's pooling writes
an 8-byte index for each pooled number. The plain equivalent is `torch.nn.functional.max_pool2d`; what it gains is in
outputs/reference/benchmark.json.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

CORNERS = ((0, 0), (0, 1), (1, 0), (1, 1))


def max_pool(features: Tensor, ceil_mode: bool = False) -> Tensor:
    """Features (H, W, C, B) to half of H and W; a last odd row and column is kept if `ceil_mode`, else dropped.

    Where the pixels of a window are equal, the first gets the gradient, as in the library.
    """
    pooled: Tensor = _MaxPool.apply(features, ceil_mode)
    return pooled


def _windows(features: Tensor, ceil_mode: bool) -> list[Tensor]:
    """The first, second, third and fourth pixel of all windows, as views."""
    if not ceil_mode:
        features = features[: features.shape[0] // 2 * 2, : features.shape[1] // 2 * 2]
    return [features[y::2, x::2] for y, x in CORNERS]


class _MaxPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, ceil_mode: bool) -> Tensor:
        first, *others = _windows(features, ceil_mode)
        largest = first.clone(memory_format=torch.contiguous_format)
        gains = []
        for pixel in others:
            seen = largest[: pixel.shape[0], : pixel.shape[1]]  # windows at the edge may lack this pixel
            gains.append(pixel - seen)  # above 0 just where it is larger: subtraction underflows gradually
            torch.maximum(seen, pixel, out=seen)
        ctx.save_for_backward(*gains)
        ctx.shape, ctx.ceil_mode = features.shape, ceil_mode
        return largest

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        rest = gradient.clone(memory_format=torch.contiguous_format)
        complete = ctx.ceil_mode or not (ctx.shape[0] % 2 or ctx.shape[1] % 2)
        found = (gradient.new_empty if complete else gradient.new_zeros)(ctx.shape)
        first, *others = _windows(found, ctx.ceil_mode)
        for pixel, gain in zip(reversed(others), reversed(ctx.saved_tensors), strict=True):
            seen = rest[: pixel.shape[0], : pixel.shape[1]]
            # the gradient where the gain is above 0, else 0
            torch.ops.aten.threshold_backward.grad_input(seen, gain, 0, grad_input=pixel)
            seen -= pixel
        first.copy_(rest)
        return found, None
