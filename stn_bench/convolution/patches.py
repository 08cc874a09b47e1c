"""A convolution of a one-channel image and its pooling, as patches times a matrix, some rows of windows at a time.

With a transformer in front, the first convolution's backward pass needs the gradient of a one-channel image, for
which oneDNN has no fast kernel. A patch that serves the four outputs of a pooling window has (k + 1)^2 pixels: for
k = 9 that is a quarter more to multiply than output by output, and a third of the pixels to copy, or to add up in the
backward pass. The outputs themselves, most of a step's memory, never leave the CPU's cache: what is kept is the
largest of each window, and by how much it is. A GPU does all rows at once. The plain equivalent is
`torch.nn.functional.max_pool2d` of `conv2d`; what it gains is in outputs/reference/benchmark.json.
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
        pooled = images.new_empty(rows, columns, filters, batch)
        gains = images.new_empty(3, rows, columns, filters, batch)
        at_once = rows if _is_gpu(images) else 1
        shifted = _shifted(weight).expand(at_once * columns, -1, -1)
        outputs = images.new_empty(at_once * columns, 4 * filters, batch)
        pixels = outputs.view(at_once, columns, 4, filters, batch).unbind(2)
        for row in range(0, rows, at_once):
            block = slice(row, row + at_once)
            torch.bmm(shifted, patches[block].flatten(0, 1), out=outputs)
            for (y, x), pixel in zip(CORNERS, pixels, strict=True):
                if y and odd[0] and block.stop == rows:
                    pixel[-1] = -torch.inf
                if x and odd[1]:
                    pixel[:, -1] = -torch.inf
            largest(pixels, pooled[block], gains[:, block].unbind())
        ctx.save_for_backward(patches, weight, gains)
        ctx.padded, ctx.odd = images.shape, odd
        return pooled

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        with torch.autocast(gradient.device.type, enabled=False):  # which may be on where `backward` is called
            return *_gradients(ctx, gradient), None


def _gradients(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
    """Of the images and the weight, where they are needed."""
    patches, weight, gains = ctx.saved_tensors
    rows, columns, filters, batch = gradient.shape
    side = weight.shape[-1] + 1
    precise = torch.promote_types(gradient.dtype, torch.float32)
    at_once = rows if _is_gpu(gradient) else 1
    by_output = gradient.new_empty(at_once * columns, 4 * filters, batch)
    pixels = by_output.view(at_once, columns, 4, filters, batch).unbind(2)
    by_weight = gradient.new_zeros(4 * filters, side**2, dtype=precise)
    by_pixel = gradient.new_empty(rows * columns, side**2, batch)
    back = _shifted(weight).t().contiguous().expand(len(by_output), -1, -1)
    for row in range(0, rows, at_once):
        block = slice(row, row + at_once)
        spread(gradient[block], gains[:, block].unbind(), pixels)
        if ctx.needs_input_grad[1]:
            by_weight += (by_output @ patches[block].flatten(0, 1).mT).sum(0)
        if ctx.needs_input_grad[0]:
            torch.bmm(back, by_output, out=by_pixel[row * columns : (row + at_once) * columns])
    weight_gradient = image_gradient = None
    if ctx.needs_input_grad[1]:
        shifted = zip(by_weight.view(4, filters, side, side), CORNERS, strict=True)
        parts = [part[:, y : y + side - 1, x : x + side - 1] for part, (y, x) in shifted]
        weight_gradient = torch.stack(parts).sum(0).to(weight.dtype)
    if ctx.needs_input_grad[0]:
        both = _put_back(by_pixel.view(rows, columns, side, side, batch), ctx.padded, precise)
        height, width = (length - odd for length, odd in zip(ctx.padded, ctx.odd, strict=False))
        image_gradient = both[:height, :width].to(gradient.dtype)
    return image_gradient, weight_gradient


def _shifted(weight: Tensor) -> Tensor:
    """The kernels (F, k, k) where each output of a window looks, in patches of k + 1 pixels: (4 F, (k + 1)^2)."""
    return torch.cat([functional.pad(weight, (x, 1 - x, y, 1 - y)) for y, x in CORNERS]).flatten(1)


def _is_gpu(tensor: Tensor) -> bool:
    return tensor.device.type != "cpu"


def _put_back(patches: Tensor, size: torch.Size, precise: torch.dtype) -> Tensor:
    """The sum of patches (H', W', k + 1, k + 1, B) where they were cut from an image of a size (H, W, B), in `precise`.

    Along x first, then along y.
    """
    rows, columns, side, _, batch = patches.shape
    height, width, _ = size
    if _is_gpu(patches):  # one kernel each, which the CPU does one number at a time
        back = torch.ops.aten.unfold_backward
        lines = back(patches.to(precise).movedim(3, -1), [rows, width, side, batch], 1, side, 2)
        return back(lines.movedim(2, -1), [height, width, batch], 0, side, 2)
    along_x = patches.new_zeros(rows, width, side, batch, dtype=precise)
    for x in range(side):
        along_x[:, x : x + 2 * columns - 1 : 2] += patches[:, :, :, x]
    both = patches.new_zeros(height, width, batch, dtype=precise)
    for y in range(side):
        both[y : y + 2 * rows - 1 : 2] += along_x[:, :, y]
    return both
