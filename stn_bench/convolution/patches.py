"""The first stage of a CNN, on one-channel images: convolution, bias, ReLU and pooling as patches times a matrix.

With a transformer in front, the first convolution's backward pass needs the gradient of a one-channel image, for
which oneDNN has no fast kernel. A patch that serves the four outputs of a pooling window has (k + 1)^2 pixels: for
k = 9 that is a quarter more to multiply than output by output, and a third of the pixels to copy, or to add up in the
backward pass. A last pixel of each is 1, and the bias its weight. On a CPU some rows of windows are done at a time, so
that the outputs, most of a step's memory, never leave its cache: what is kept is the largest of each window, and by how
much it is. A GPU does all rows at once. The plain equivalent is `torch.nn.functional.max_pool2d` of the ReLU of
`conv2d`; what it gains is in outputs/reference/benchmark.json.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from stn_bench.convolution.pooling import keep_where_above_0, largest, spread

CORNERS = ((0, 0), (0, 1), (1, 0), (1, 1))
"""The outputs of a window, (y, x), in the order in which they lie in memory."""

BLOCK = 2**21
"""Bytes of outputs that a CPU's cache holds."""


def convolve_relu_pool(images: Tensor, weight: Tensor, bias: Tensor, ceil_mode: bool) -> Tensor:
    """Images (H, W, B), weight (F, k, k) and bias (F,), of one dtype -> the largest of each 2x2 window, (H', W', F, B).

    A last odd row and column of outputs is kept if `ceil_mode`, else dropped.
    """
    pooled: Tensor = _ConvolveReluPool.apply(images, weight, bias, ceil_mode)
    return pooled


class _ConvolveReluPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, bias: Tensor, ceil_mode: bool) -> Tensor:
        filters, side = len(weight), weight.shape[-1] + 1
        odd = [ceil_mode and (length - side) % 2 for length in images.shape[:2]]
        images = functional.pad(images, (0, 0, 0, odd[1], 0, odd[0])) if any(odd) else images.contiguous()
        patches = _cut(images, side)
        rows, columns, pixels, batch = patches.shape
        pooled = images.new_empty(rows, columns, filters, batch)
        gains = images.new_empty(3, rows, columns, filters, batch)
        matrices = _repeated(torch.cat([_shifted(weight), bias.repeat(4)[:, None]], dim=1), pooled)
        for block, outputs in _blocks(pooled):
            corners = outputs.unbind(2)
            by_window = outputs.view(-1, 4 * filters, batch)
            torch.bmm(matrices[: len(by_window)], patches[block].view(-1, pixels, batch), out=by_window)
            for (y, x), corner in zip(CORNERS, corners, strict=True):
                if y and odd[0] and block.stop == rows:
                    corner[-1] = -torch.inf
                if x and odd[1]:
                    corner[:, -1] = -torch.inf
            largest(corners, pooled[block], gains[:, block].unbind())
            pooled[block].relu_()
        ctx.save_for_backward(patches, weight, gains, pooled)
        ctx.padded, ctx.odd = images.shape, odd
        return pooled

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        with torch.autocast(gradient.device.type, enabled=False):  # which may be on where `backward` is called
            return *_gradients(ctx, gradient), None


def _gradients(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Of the images, the weight and the bias, where they are needed."""
    patches, weight, gains, pooled = ctx.saved_tensors
    filters, side, batch = len(weight), weight.shape[-1] + 1, patches.shape[-1]
    of_images, *of_parameters = ctx.needs_input_grad[:3]
    precise = torch.promote_types(gradient.dtype, torch.float32)
    by_weight = weight.new_zeros(4 * filters, side**2 + 1, dtype=precise)
    by_pixel = weight.new_zeros(ctx.padded if of_images else 0, dtype=precise)
    back = _repeated(_shifted(weight).t(), pooled) if of_images else weight
    for block, outputs in _blocks(pooled):
        spread(keep_where_above_0(gradient[block], pooled[block]), gains[:, block].unbind(), outputs.unbind(2))
        by_window = outputs.view(-1, 4 * filters, batch)
        if any(of_parameters):
            by_weight += (by_window @ patches[block].flatten(0, 1).mT).sum(0)
        if of_images:
            by_patch = back[: len(by_window)] @ by_window
            _put_back(by_patch.view(*outputs.shape[:2], side, side, batch), by_pixel[2 * block.start :])
    image_gradient = weight_gradient = bias_gradient = None
    if of_images:
        height, width = (length - odd for length, odd in zip(ctx.padded, ctx.odd, strict=False))
        image_gradient = by_pixel[:height, :width].to(gradient.dtype)
    if any(of_parameters):
        shifted = zip(by_weight[:, :-1].view(4, filters, side, side), CORNERS, strict=True)
        parts = [part[:, y : y + side - 1, x : x + side - 1] for part, (y, x) in shifted]
        weight_gradient = torch.stack(parts).sum(0).to(weight.dtype)
        bias_gradient = by_weight[:, -1].view(4, filters).sum(0).to(weight.dtype)
    return image_gradient, weight_gradient, bias_gradient


def _cut(images: Tensor, side: int) -> Tensor:
    """Contiguous images (H, W, B) -> every second patch of so many pixels a side, and a 1: (H', W', side^2 + 1, B)."""
    height, width, batch = images.shape
    rows, columns = (height - side) // 2 + 1, (width - side) // 2 + 1
    down, right = width * batch, batch
    patches = images.new_empty(rows, columns, side**2 + 1, batch)
    patches[:, :, -1] = 1
    patches[:, :, :-1].view(rows, columns, side, side, batch).copy_(
        images.as_strided(
            (rows, columns, side, side, batch), (2 * down, 2 * right, down, right, 1), images.storage_offset()
        )
    )
    return patches


def _shifted(weight: Tensor) -> Tensor:
    """The kernels (F, k, k) where each output of a window looks, in patches of k + 1 pixels: (4 F, (k + 1)^2)."""
    return torch.cat([functional.pad(weight, (x, 1 - x, y, 1 - y)) for y, x in CORNERS]).flatten(1)


def _blocks(pooled: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Some rows of windows (H', W', F, B) at a time, and room for the outputs that are pooled: (rows, W', 4, F, B)."""
    rows, at_once = len(pooled), _at_once(pooled)
    room = pooled.new_empty(at_once, pooled.shape[1], 4, *pooled.shape[2:])
    for row in range(0, rows, at_once):
        block = slice(row, min(row + at_once, rows))
        yield block, room[: block.stop - row]


def _at_once(pooled: Tensor) -> int:
    """How many rows of windows."""
    return len(pooled) if _is_gpu(pooled) else max(1, min(len(pooled), BLOCK // (4 * pooled[0].nbytes)))


def _repeated(matrix: Tensor, pooled: Tensor) -> Tensor:
    """A matrix for each window of a block: `bmm` on a CPU would copy an expanded one at each call."""
    matrices = matrix.contiguous().expand(_at_once(pooled) * pooled.shape[1], -1, -1)
    return matrices if _is_gpu(pooled) else matrices.contiguous()


def _is_gpu(tensor: Tensor) -> bool:
    return tensor.device.type != "cpu"


def _put_back(patches: Tensor, images: Tensor) -> None:
    """Add patches (H', W', k + 1, k + 1, B) where they were cut from the first lines of images (H, W, B)."""
    rows, columns, side, _, batch = patches.shape
    if _is_gpu(patches):  # along x, then along y, each one kernel, which a CPU does one number at a time
        back = torch.ops.aten.unfold_backward
        lines = back(patches.to(images.dtype).movedim(3, -1), [rows, images.shape[1], side, batch], 1, side, 2)
        images += back(lines.movedim(2, -1), list(images.shape), 0, side, 2)
        return
    for row in range(rows):
        for column in range(columns):
            images[2 * row : 2 * row + side, 2 * column : 2 * column + side] += patches[row, column]
