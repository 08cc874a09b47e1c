"""Homographies of the plane as matrices (..., 3, 3): the four-corner solve, inversion, safe application."""

from typing import Any

import torch
from torch import Tensor

from stn_bench.geometry import affine
from stn_bench.geometry.float64 import double
from stn_bench.geometry.tracing import holds_numbers

HORIZON = 1e-3
"""Points whose homogeneous coordinate z is not above this lie at or behind the horizon.

Nothing is seen there where zeros lie outside of the image; with padding "border" they read the pixel at its bottom
right, which is the nearest to where they are sent.
"""

OUT_OF_SIGHT = 1e3
"""Where such points are sent, far outside of every image."""


def from_corners(source: Tensor, target: Tensor) -> Tensor:
    """The homography that takes four points `source` (..., 4, 2) to `target` (..., 4, 2): (..., 3, 3), last entry 1.

    Solved in float64. Three corners on one line have none: torch.linalg.LinAlgError is raised where the system is
    singular to the bit, elsewhere its entries are huge, as where the homography sends the origin to the horizon.
    """
    (x, y), (u, v) = double(source).unbind(-1), double(target).unbind(-1)  # each (..., 4)
    one, zero = torch.ones_like(x), torch.zeros_like(x)
    rows_u = torch.stack([x, y, one, zero, zero, zero, -u * x, -u * y], dim=-1)
    rows_v = torch.stack([zero, zero, zero, x, y, one, -v * x, -v * y], dim=-1)
    system = torch.cat([rows_u, rows_v], dim=-2)  # (..., 8, 8)
    entries = torch.linalg.solve(system, torch.cat([u, v], dim=-1))  # (..., 8)
    return torch.cat([entries, one[..., :1]], dim=-1).unflatten(-1, (3, 3)).to(source)


def invert(matrix: Tensor) -> Tensor:
    """The inverse homography of `matrix` (..., 3, 3). Raises torch.linalg.LinAlgError where one is singular."""
    return torch.linalg.inv(matrix)


def apply(matrix: Tensor, points: Tensor) -> Tensor:
    """Move points (H, W, 2) or (B, H, W, 2) by `matrix` (B, 3, 3) -> (B, H, W, 2), see `divide`."""
    return divide(affine.combine(affine.homogeneous(points), matrix))


def divide(homogeneous: Tensor) -> Tensor:
    """Homogeneous points (..., 3) as points (..., 2); those at or behind the horizon go out of sight, gradient zero."""
    if not holds_numbers(homogeneous):  # whatever traces this writes a backward pass of its own
        return _divided(homogeneous)[0]
    points: Tensor = _Divide.apply(homogeneous)
    return points


def _divided(homogeneous: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The points, as `divide` gives them; as they were divided, before any was sent out of sight; and 1/z, or 0."""
    z = homogeneous[..., 2:]
    visible = (z > HORIZON).to(z.dtype)  # 1 or 0
    inverse = visible / z.clamp(min=HORIZON)
    points = homogeneous[..., :2] * inverse
    return points + OUT_OF_SIGHT * (1 - visible), points, inverse


class _Divide(torch.autograd.Function):
    """Written by hand since autograd's backward pass sums over the two coordinates, four times as slowly."""

    @staticmethod
    def forward(ctx: Any, homogeneous: Tensor) -> Tensor:
        seen, points, inverse = _divided(homogeneous)
        ctx.save_for_backward(homogeneous, points, inverse)
        return seen

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        homogeneous, points, inverse = ctx.saved_tensors
        if torch.is_grad_enabled() or not holds_numbers(gradient):  # this gradient will have one itself, or many
            _, points, inverse = _divided(homogeneous)
            return torch.cat([gradient * inverse, (points * gradient).sum(-1, keepdim=True) * -inverse], dim=-1)
        found = torch.empty_like(homogeneous)
        torch.mul(gradient, inverse, out=found[..., :2])
        torch.mul((points * gradient).sum(-1, keepdim=True), -inverse, out=found[..., 2:])
        return found
