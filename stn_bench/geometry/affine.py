"""Affine maps of the plane as matrices (..., 2, 3): make, compose, invert, apply."""

import torch
from torch import Tensor


def rotation(angle: Tensor) -> Tensor:
    """Rotation by `angle` (...) in radians. With y pointing down, positive angles turn x towards y: clockwise."""
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    return torch.stack([cos, -sin, zero, sin, cos, zero], dim=-1).unflatten(-1, (2, 3))


def scaling(factor: Tensor) -> Tensor:
    """Isotropic scaling about the origin by `factor` (...)."""
    zero = torch.zeros_like(factor)
    return torch.stack([factor, zero, zero, zero, factor, zero], dim=-1).unflatten(-1, (2, 3))


def translation(shift: Tensor) -> Tensor:
    """Translation by `shift` (..., 2)."""
    x, y = shift.unbind(-1)
    one, zero = torch.ones_like(x), torch.zeros_like(x)
    return torch.stack([one, zero, x, zero, one, y], dim=-1).unflatten(-1, (2, 3))


def compose(outer: Tensor, inner: Tensor) -> Tensor:
    """The map that does `inner` first and then `outer`; matrices (..., 2, 3)."""
    linear = outer[..., :2] @ inner[..., :2]
    shift = outer[..., :2] @ inner[..., 2:] + outer[..., 2:]
    return torch.cat([linear, shift], dim=-1)


def invert(matrix: Tensor) -> Tensor:
    """The inverse map of `matrix` (..., 2, 3). Raises torch.linalg.LinAlgError where one is singular."""
    linear = torch.linalg.inv(matrix[..., :2])
    return torch.cat([linear, -linear @ matrix[..., 2:]], dim=-1)


def from_pixels(matrix: Tensor, input_size: tuple[int, int], output_size: tuple[int, int]) -> Tensor:
    """A map between pixel offsets from the image centres, as one between normalised coordinates.

    `matrix` (..., 2, 3) takes pixels of the output to pixels of the input; sizes are (height, width).
    Angles and isotropic scales are only what they say in pixels: in normalised coordinates they shear
    an image that is not square.
    """
    to_pixels = matrix.new_tensor([output_size[1] / 2, output_size[0] / 2, 1.0])
    to_normalised = matrix.new_tensor([[2 / input_size[1]], [2 / input_size[0]]])
    return to_normalised * matrix * to_pixels


def homogeneous(points: Tensor) -> Tensor:
    """Points (..., 2) with a 1 appended: (..., 3)."""
    return torch.cat([points, torch.ones_like(points[..., :1])], dim=-1)


def apply(matrix: Tensor, points: Tensor) -> Tensor:
    """Move points (H, W, 2), shared, or (B, H, W, 2), each image its own, by `matrix` (B, 2, 3) -> (B, H, W, 2)."""
    return combine(homogeneous(points), matrix)


def combine(basis: Tensor, coefficients: Tensor) -> Tensor:
    """Linear combinations of basis functions of the points.

    `basis` (H, W, M) or (B, H, W, M) holds M functions of each point, `coefficients` (B, D, M) their weights
    for D outputs; returns (B, H, W, D).
    """
    height, width = basis.shape[-3:-1]
    if basis.ndim == 3:
        # one product for the whole batch; each of the D outputs lies in memory as an image of its own
        combined = coefficients.flatten(0, 1) @ basis.flatten(0, 1).mT  # (B D, HW)
        return combined.view(*coefficients.shape[:2], height, width).permute(0, 2, 3, 1)
    return (basis.flatten(1, 2) @ coefficients.mT).unflatten(1, (height, width))
