"""A convolution of a one-channel image as patches times a matrix, by windows of 2 x 2 outputs.

With a transformer in front, the first convolution's backward pass needs the gradient of a one-channel image, for
which oneDNN has no fast kernel. A patch that serves the four outputs of a pooling window has (k + 1)^2 pixels: for
k = 9 that is a quarter more to multiply than patch by patch, and a third of the pixels to copy, or to add up in the
backward pass. The plain equivalent is `torch.nn.functional.conv2d`; what it gains is in
outputs/reference/benchmark.json.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

CORNERS = ((0, 0), (0, 1), (1, 0), (1, 1))
"""The outputs of a window, (y, x), in the order in which they lie in memory."""


def convolve(images: Tensor, weight: Tensor) -> Tensor:
    """Images (H, W, B) and weight (F, k, k), of one dtype -> (H - k + 1, W - k + 1, F, B)."""
    rows, columns = (side - weight.shape[-1] + 1 for side in images.shape[:2])
    windows = convolve_to_windows(images, weight, ceil_mode=True).unflatten(2, (2, 2))
    return windows.transpose(1, 2).flatten(2, 3).flatten(0, 1)[:rows, :columns]


def convolve_to_windows(images: Tensor, weight: Tensor, ceil_mode: bool) -> Tensor:
    """Images (H, W, B) and weight (F, k, k), of one dtype -> the outputs by 2x2 window, (H', W', 4, F, B).

    A last odd row and column of outputs is dropped, or, if `ceil_mode`, kept in windows that are filled up with -inf.
    """
    windows: Tensor = _Windows.apply(images, weight, ceil_mode)
    return windows


class _Windows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, ceil_mode: bool) -> Tensor:
        side = weight.shape[-1] + 1
        odd = [ceil_mode and (length - side) % 2 for length in images.shape[:2]]
        images = functional.pad(images, (0, 0, 0, odd[1], 0, odd[0])) if any(odd) else images.contiguous()
        height, width, batch = images.shape
        rows, columns = (height - side) // 2 + 1, (width - side) // 2 + 1
        down, right = width * batch, batch
        views = images.as_strided(
            (rows, columns, side, side, batch), (2 * down, 2 * right, down, right, 1), images.storage_offset()
        )
        patches = views.reshape(rows * columns, side**2, batch)
        ctx.save_for_backward(patches, weight)
        ctx.padded, ctx.odd = images.shape, odd
        windows = _for_each(_shifted(weight), patches).view(rows, columns, 2, 2, -1, batch)
        if odd[0]:
            windows[-1, :, 1] = -torch.inf
        if odd[1]:
            windows[:, -1, :, 1] = -torch.inf
        return windows.flatten(2, 3)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        patches, weight = ctx.saved_tensors
        rows, columns, _, filters, batch = gradient.shape
        side = weight.shape[-1] + 1
        by_window = gradient.reshape(rows * columns, 4 * filters, batch)
        weight_gradient = image_gradient = None
        if ctx.needs_input_grad[1]:
            shifted = (by_window @ patches.mT).sum(0).view(4, filters, side, side)
            parts = [part[:, y : y + side - 1, x : x + side - 1] for part, (y, x) in zip(shifted, CORNERS, strict=True)]
            weight_gradient = torch.stack(parts).sum(0)
        if ctx.needs_input_grad[0]:
            by_offset = _for_each(_shifted(weight).t().contiguous(), by_window)
            by_offset = by_offset.view(rows, columns, side, side, batch)
            # each patch's gradient goes back to where the patch was cut: along x, then along y; in float32 at least
            precise = torch.promote_types(gradient.dtype, torch.float32)
            height, width, _ = ctx.padded
            along_x = gradient.new_zeros(rows, width, side, batch, dtype=precise)
            for x in range(side):
                along_x[:, x : x + 2 * columns - 1 : 2] += by_offset[:, :, :, x]
            both = gradient.new_zeros(height, width, batch, dtype=precise)
            for y in range(side):
                both[y : y + 2 * rows - 1 : 2] += along_x[:, :, y]
            image_gradient = both[: height - ctx.odd[0], : width - ctx.odd[1]].to(gradient.dtype)
        return image_gradient, weight_gradient, None


def _shifted(weight: Tensor) -> Tensor:
    """The kernels (F, k, k) where each output of a window looks, in patches of k + 1 pixels: (4 F, (k + 1)^2)."""
    return torch.cat([functional.pad(weight, (x, 1 - x, y, 1 - y)) for y, x in CORNERS]).flatten(1)


def _for_each(matrix: Tensor, by_window: Tensor) -> Tensor:
    """The product of a matrix (M, N) with the features of each window (windows, N, B): (windows, M, B).

    A product for each window stays in the cache: in single precision that takes two thirds of the time of one for all.
    """
    return torch.bmm(matrix.expand(len(by_window), -1, -1), by_window)
