"""A convolution of a one-channel image and its pooling, as patches times a matrix, one row of windows at a time.

With a transformer in front, the first convolution's backward pass needs the gradient of a one-channel image, for
which oneDNN has no fast kernel. A patch that serves the four outputs of a pooling window has (k + 1)^2 pixels: for
k = 9 that is a quarter more to multiply than output by output, and a third of the pixels to copy, or to add up in the
backward pass. The outputs themselves, most of a step's memory, never leave the cache: what is kept is the largest of
each window, and by how much it is. The plain equivalent is `torch.nn.functional.max_pool2d` of `conv2d`; what it
gains is in outputs/reference/benchmark.json.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from stn_bench.convolution.pooling import largest, spread

CORNERS = ((0, 0), (0, 1), (1, 0), (1, 1))
"""The outputs of a window, (y, x), in the order in which they lie in memory."""


def convolve_and_pool(images: Tensor, weight: Tensor, ceil_mode: bool) -> Tensor:
    """Images (H, W, B) and weight (F, k, k), of one dtype -> the largest output of each 2x2 window, (H', W', F, B).

    A last odd row and column of outputs is kept if `ceil_mode`, else dropped.
    """
    pooled: Tensor = _ConvolveAndPool.apply(images, weight, ceil_mode)
    return pooled


class _ConvolveAndPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, ceil_mode: bool) -> Tensor:
        filters, side = len(weight), weight.shape[-1] + 1
        odd = [ceil_mode and (length - side) % 2 for length in images.shape[:2]]
        images = functional.pad(images, (0, 0, 0, odd[1], 0, odd[0])) if any(odd) else images.contiguous()
        height, width, batch = images.shape
        rows, columns = (height - side) // 2 + 1, (width - side) // 2 + 1
        down, right = width * batch, batch
        views = images.as_strided(
            (rows, columns, side, side, batch), (2 * down, 2 * right, down, right, 1), images.storage_offset()
        )
        patches = views.reshape(rows, columns, side**2, batch)
        shifted = _shifted(weight).expand(columns, -1, -1)
        outputs = images.new_empty(columns, 4 * filters, batch)
        pixels = outputs.view(columns, 4, filters, batch).unbind(1)
        pooled = images.new_empty(rows, columns, filters, batch)
        gains = images.new_empty(rows, 3, columns, filters, batch)
        for row in range(rows):
            torch.bmm(shifted, patches[row], out=outputs)
            for (y, x), pixel in zip(CORNERS, pixels, strict=True):
                if y and odd[0] and row == rows - 1:
                    pixel.fill_(-torch.inf)
                if x and odd[1]:
                    pixel[-1] = -torch.inf
            largest(pixels, pooled[row], gains[row].unbind())
        ctx.save_for_backward(patches, weight, gains)
        ctx.padded, ctx.odd = images.shape, odd
        return pooled

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        patches, weight, gains = ctx.saved_tensors
        rows, columns, filters, batch = gradient.shape
        side = weight.shape[-1] + 1
        precise = torch.promote_types(gradient.dtype, torch.float32)
        by_output = gradient.new_empty(columns, 4 * filters, batch)
        pixels = by_output.view(columns, 4, filters, batch).unbind(1)
        by_weight = gradient.new_zeros(4 * filters, side**2, dtype=precise)
        by_pixel = gradient.new_empty(rows, columns, side**2, batch)
        back = _shifted(weight).t().contiguous().expand(columns, -1, -1)
        for row in range(rows):
            spread(gradient[row], gains[row].unbind(), pixels)
            if ctx.needs_input_grad[1]:
                by_weight += (by_output @ patches[row].mT).sum(0)
            if ctx.needs_input_grad[0]:
                torch.bmm(back, by_output, out=by_pixel[row])
        weight_gradient = image_gradient = None
        if ctx.needs_input_grad[1]:
            shifted = zip(by_weight.view(4, filters, side, side), CORNERS, strict=True)
            parts = [part[:, y : y + side - 1, x : x + side - 1] for part, (y, x) in shifted]
            weight_gradient = torch.stack(parts).sum(0).to(weight.dtype)
        if ctx.needs_input_grad[0]:
            # each patch's gradient goes back to where the patch was cut: along x, then along y; in float32 at least
            by_pixel = by_pixel.view(rows, columns, side, side, batch)
            height, width, _ = ctx.padded
            along_x = gradient.new_zeros(rows, width, side, batch, dtype=precise)
            for x in range(side):
                along_x[:, x : x + 2 * columns - 1 : 2] += by_pixel[:, :, :, x]
            both = gradient.new_zeros(height, width, batch, dtype=precise)
            for y in range(side):
                both[y : y + 2 * rows - 1 : 2] += along_x[:, :, y]
            image_gradient = both[: height - ctx.odd[0], : width - ctx.odd[1]].to(gradient.dtype)
        return image_gradient, weight_gradient, None


def _shifted(weight: Tensor) -> Tensor:
    """The kernels (F, k, k) where each output of a window looks, in patches of k + 1 pixels: (4 F, (k + 1)^2)."""
    return torch.cat([functional.pad(weight, (x, 1 - x, y, 1 - y)) for y, x in CORNERS]).flatten(1)
