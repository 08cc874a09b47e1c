"""2x2 max pooling of features that lie pixel by pixel in memory.

A window's four pixels are then four blocks, and pooling is a few passes over blocks; the library's pooling writes
an 8-byte index for each pooled number. The plain equivalent is `torch.nn.functional.max_pool2d`; what it gains is in
outputs/reference/benchmark.json.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def max_pool(features: Tensor, ceil_mode: bool = False) -> Tensor:
    """Features (H, W, C, B) to half of H and W; a last odd row and column is kept if `ceil_mode`, else dropped.

    Where the pixels of a window are equal, the first gets the gradient, as in the library.
    """
    pooled: Tensor = _MaxPool.apply(features, ceil_mode)
    return pooled


def largest(pixels: Sequence[Tensor], found: Tensor, gains: Sequence[Tensor]) -> None:
    """Write the largest of each window into `found`.

    `pixels` are the first, second, ... pixel of all windows: (H, W, ...) each, all but the first maybe smaller, where
    windows at the edge lack them. `gains`, one fewer, will hold how much each of the others exceeds those before it:
    above 0 just where it does, as subtraction underflows gradually.
    """
    found.copy_(pixels[0])
    for pixel, gain in zip(pixels[1:], gains, strict=True):
        seen = found[: pixel.shape[0], : pixel.shape[1]]
        torch.sub(pixel, seen, out=gain)
        torch.maximum(seen, pixel, out=seen)


_threshold = torch.ops.aten.threshold_backward.grad_input
"""The gradient where a number is above 0, else 0."""


def keep_where_above_0(gradient: Tensor, numbers: Tensor) -> Tensor:
    """A contiguous copy of the gradient where the numbers are above 0, else 0."""
    kept = numbers.new_empty(numbers.shape)
    _threshold(_bits(gradient), _bits(numbers), 0, grad_input=_bits(kept))
    return kept


def spread(gradient: Tensor, gains: Sequence[Tensor], pixels: Sequence[Tensor]) -> None:
    """Write the gradient of the largest into `pixels`, as `largest` takes them: where the largest was, 0 elsewhere.

    What `gradient` was is lost.
    """
    rest = _bits(gradient)
    pixels = [_bits(pixel) for pixel in pixels]
    for pixel, gain in zip(reversed(pixels[1:]), reversed(gains), strict=True):
        seen = rest[: pixel.shape[0], : pixel.shape[1]]
        _threshold(seen, _bits(gain), 0, grad_input=pixel)
        seen -= pixel
    pixels[0].copy_(rest)


def _bits(numbers: Tensor) -> Tensor:
    """Numbers of half precision on a CPU as whole numbers, which are above 0 just where they are.

    In a quarter of the time, as nothing is converted to float32 and back.
    """
    return numbers.view(torch.int16) if numbers.is_cpu and numbers.element_size() == 2 else numbers


def _pixels(features: Tensor, ceil_mode: bool) -> list[Tensor]:
    """The first, second, third and fourth pixel of all windows, as views."""
    if not ceil_mode:
        features = features[: features.shape[0] // 2 * 2, : features.shape[1] // 2 * 2]
    return [features[y::2, x::2] for y in (0, 1) for x in (0, 1)]


class _MaxPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, ceil_mode: bool) -> Tensor:
        pixels = _pixels(features, ceil_mode)
        found = features.new_empty(pixels[0].shape)
        gains = [features.new_empty(pixel.shape) for pixel in pixels[1:]]
        largest(pixels, found, gains)
        ctx.save_for_backward(*gains)
        ctx.shape, ctx.ceil_mode = features.shape, ceil_mode
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        complete = ctx.ceil_mode or not (ctx.shape[0] % 2 or ctx.shape[1] % 2)
        found = (gradient.new_empty if complete else gradient.new_zeros)(ctx.shape)
        spread(gradient.clone(memory_format=torch.contiguous_format), ctx.saved_tensors, _pixels(found, ctx.ceil_mode))
        return found, None
