"""2x2 max pooling of features that lie pixel by pixel in memory.

A window's four pixels are then four blocks, and pooling is a few passes over blocks; the library's pooling writes
an 8-byte index for each pooled number. The plain equivalent is `torch.nn.functional.max_pool2d`; what it gains is in
outputs/reference/benchmark.json.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

Split = Callable[[Tensor], Sequence[Tensor]]
"""From features to the first, second, third and fourth pixel of all windows, as views."""


def max_pool(features: Tensor, ceil_mode: bool = False) -> Tensor:
    """Features (H, W, C, B) to half of H and W; a last odd row and column is kept if `ceil_mode`, else dropped.

    Where the pixels of a window are equal, the first gets the gradient, as in the library.
    """
    height, width = features.shape[:2]
    complete = ceil_mode or not (height % 2 or width % 2)

    def split(features: Tensor) -> Sequence[Tensor]:
        if not ceil_mode:
            features = features[: height // 2 * 2, : width // 2 * 2]
        return [features[y::2, x::2] for y in (0, 1) for x in (0, 1)]

    pooled: Tensor = _MaxPool.apply(features, split, complete)
    return pooled


def max_of_windows(windows: Tensor) -> Tensor:
    """Features by window, (H, W, 4, C, B), to the largest of each four, (H, W, C, B); gradients as in `max_pool`."""
    pooled: Tensor = _MaxPool.apply(windows, lambda windows: windows.unbind(2), True)
    return pooled


class _MaxPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, split: Split, complete: bool) -> Tensor:
        first, *others = split(features)
        largest = first.clone(memory_format=torch.contiguous_format)
        gains = []
        for pixel in others:
            seen = largest[: pixel.shape[0], : pixel.shape[1]]  # windows at the edge may lack this pixel
            gains.append(pixel - seen)  # above 0 just where it is larger: subtraction underflows gradually
            torch.maximum(seen, pixel, out=seen)
        ctx.save_for_backward(*gains)
        ctx.shape, ctx.split, ctx.complete = features.shape, split, complete
        return largest

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        rest = gradient.clone(memory_format=torch.contiguous_format)
        found = (gradient.new_empty if ctx.complete else gradient.new_zeros)(ctx.shape)
        first, *others = ctx.split(found)
        for pixel, gain in zip(reversed(others), reversed(ctx.saved_tensors), strict=True):
            seen = rest[: pixel.shape[0], : pixel.shape[1]]
            # the gradient where the gain is above 0, else 0
            torch.ops.aten.threshold_backward.grad_input(seen, gain, 0, grad_input=pixel)
            seen -= pixel
        first.copy_(rest)
        return found, None, None
