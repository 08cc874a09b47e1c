"""Thin-plate splines (Bookstein 1989; Jaderberg et al. 2015, section 3.2): kernel, solve, evaluation."""

import torch
from torch import Tensor

from stn_bench.geometry.affine import combine, homogeneous


def control_grid(rows: int, columns: int) -> Tensor:
    """A regular grid of control points from edge to edge of the image: (rows * columns, 2), row by row, float64."""
    y, x = torch.linspace(-1, 1, rows, dtype=torch.float64), torch.linspace(-1, 1, columns, dtype=torch.float64)
    return torch.cartesian_prod(y, x).flip(-1)


def kernel(points: Tensor, controls: Tensor) -> Tensor:
    """The radial function `r^2 log r^2` of points (..., N, 2) and controls (..., K, 2): (..., N, K); 0 at r = 0."""
    # |p - c|^2 as one product of (|p|^2, p, 1) with (1, -2c, |c|^2): no (..., N, K, 2) differences in memory
    left = torch.cat([points.square().sum(-1, keepdim=True), homogeneous(points)], dim=-1)
    right = torch.cat([torch.ones_like(controls[..., :1]), -2 * controls, controls.square().sum(-1, keepdim=True)], -1)
    squared = (left @ right.mT).clamp_(min=0)  # rounding may leave it below
    # masked before the log: below this r^2 log r^2 is 0 to the dtype's accuracy
    return squared.clamp(min=torch.finfo(squared.dtype).tiny).log().mul_(squared)


def basis(points: Tensor, controls: Tensor) -> Tensor:
    """The constant matrix from values at control points to values at points: (H, W, K) or (B, H, W, K).

    `points` (H, W, 2) or (B, H, W, 2), `controls` (K, 2). A spline that takes the values v_k at its control points
    has the values `basis @ v` at the points. Solved once, in float64, returned in the dtype of `points`.
    Raises ValueError for control points that fix no spline.
    """
    _check_controls(controls)
    controls = controls.to(device=points.device, dtype=torch.float64)
    values_to_weights = torch.linalg.inv(_system(controls))[:, : len(controls)]  # (K + 3, K)
    flat = points.double().flatten(-3, -2)
    functions = torch.cat([kernel(flat, controls), homogeneous(flat)], dim=-1)  # (..., HW, K + 3)
    return (functions @ values_to_weights).unflatten(-2, points.shape[-3:-1]).to(points.dtype)


def solve(source: Tensor, target: Tensor) -> Tensor:
    """The weights (B, 2, K + 3) of the splines that take control points `source` (B, K, 2) to `target` (B, K, 2).

    Solved in float64, returned in the dtype of `source`. Control points that coincide or lie on one line are not
    looked for, drawn ones never do: torch.linalg.LinAlgError is raised only where the system is singular to the bit.
    """
    values = torch.nn.functional.pad(target.double(), (0, 0, 0, 3))  # (B, K + 3, 2): no pull at infinity
    return torch.linalg.solve(_system(source.double()), values).mT.to(source.dtype)


def evaluate(weights: Tensor, source: Tensor, points: Tensor) -> Tensor:
    """Move points (H, W, 2) by the splines of `solve`: weights (B, 2, K + 3), source (B, K, 2) -> (B, H, W, 2)."""
    controls = source.shape[-2]
    flat = points.flatten(0, 1)  # (HW, 2)
    # the kernel is symmetric: this way round x and y each lie in memory as an image, as `combine` has them
    bent = weights[..., :controls] @ kernel(source, flat)  # (B, 2, HW)
    bent = bent.unflatten(-1, points.shape[:2]).permute(0, 2, 3, 1)
    return bent + combine(homogeneous(points), weights[..., controls:])


def _system(controls: Tensor) -> Tensor:
    plane = homogeneous(controls)  # (..., K, 3)
    upper = torch.cat([kernel(controls, controls), plane], dim=-1)
    lower = torch.nn.functional.pad(plane.mT, (0, 3))
    return torch.cat([upper, lower], dim=-2)  # (..., K + 3, K + 3)


def _check_controls(controls: Tensor) -> None:
    count = len(controls)
    if count < 3:
        raise ValueError(f"{count} control points cannot fix a thin-plate spline: give at least 3, not on one line")
    distances = torch.cdist(controls.double(), controls.double()) + torch.eye(count, device=controls.device)
    if distances.min() < 1e-6:
        first, second = divmod(int(distances.argmin()), count)
        raise ValueError(f"control points {first} and {second} of a thin-plate spline coincide: move one")
    if torch.linalg.svdvals(homogeneous(controls.double()))[-1] < 1e-6:
        raise ValueError(f"{count} control points on one line cannot fix a thin-plate spline: move one off the line")
