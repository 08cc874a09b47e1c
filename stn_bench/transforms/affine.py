"""Affine warps and their constrained forms (Jaderberg et al. 2015, section 3.2, equations 1 and 2)."""

import math

import torch
from torch import Tensor

from stn_bench.geometry import affine
from stn_bench.transforms.transform import Transform


class Affine(Transform):
    """All six numbers of a 2 x 3 matrix, row by row (equation 1)."""

    num_params = 6

    def identity(self) -> Tensor:
        """The parameters (6,) of the identity."""
        return torch.tensor([1.0, 0.0, 0.0, 0.0, 1.0, 0.0])

    def matrix(self, theta: Tensor) -> Tensor:
        """The matrices (B, 2, 3) of parameters (B, P)."""
        return theta.unflatten(-1, (2, 3))

    def basis(self, points: Tensor) -> Tensor:
        """The functions x, y and 1: (..., 3)."""
        return affine.homogeneous(points)

    def coefficients(self, theta: Tensor) -> Tensor:
        """The matrices (B, 2, 3)."""
        return self.matrix(theta)

    def inverse_points(self, theta: Tensor, points: Tensor) -> Tensor:
        """Where in the output each input point is seen. Raises torch.linalg.LinAlgError where a matrix is singular."""
        self.check(theta)
        with torch.autocast(points.device.type, enabled=False):
            return affine.apply(affine.invert(self.matrix(theta.to(points.dtype))), points)


class Translation(Affine):
    """Shift `(t_x, t_y)` of the points that are looked at, in half image sides: the image seen moves the other way."""

    num_params = 2

    def identity(self) -> Tensor:
        """No shift: (2,)."""
        return torch.zeros(2)

    def matrix(self, theta: Tensor) -> Tensor:
        """The matrices (B, 2, 3) of parameters (B, 2)."""
        return affine.translation(theta)


class Attention(Affine):
    """Isotropic scale and translation `(s, t_x, t_y)`: a crop that attends (equation 2), enlarged where s < 1."""

    num_params = 3

    def identity(self) -> Tensor:
        """Scale 1, no shift: (3,)."""
        return torch.tensor([1.0, 0.0, 0.0])

    def matrix(self, theta: Tensor) -> Tensor:
        """The matrices (B, 2, 3) of parameters (B, 3)."""
        return affine.compose(affine.translation(theta[:, 1:]), affine.scaling(theta[:, 0]))


class Similarity(Affine):
    """Rotation, isotropic scale and translation: `(a, b, t_x, t_y)`, a = s cos(angle), b = s sin(angle).

    `aspect_ratio` is width / height of the image, for which angles and scales are meant in pixels.
    Raises ValueError where it is no such ratio.
    """

    num_params = 4

    def __init__(self, aspect_ratio: float = 1.0) -> None:
        super().__init__()
        if not 0 < aspect_ratio < math.inf:
            raise ValueError(f"aspect_ratio={aspect_ratio} is no ratio of two sides: give width / height, above 0")
        self.aspect_ratio = aspect_ratio

    def identity(self) -> Tensor:
        """Angle 0, scale 1, no shift: (4,)."""
        return torch.tensor([1.0, 0.0, 0.0, 0.0])

    def matrix(self, theta: Tensor) -> Tensor:
        """The matrices (B, 2, 3) of parameters (B, 4)."""
        a, b, x, y = theta.unbind(-1)
        return torch.stack([a, -b / self.aspect_ratio, x, b * self.aspect_ratio, a, y], dim=-1).unflatten(-1, (2, 3))


class Rotation(Similarity):
    """Rotation about the centre by an angle in radians; the image seen turns counter-clockwise."""

    num_params = 1

    def identity(self) -> Tensor:
        """Angle 0: (1,)."""
        return torch.zeros(1)

    def matrix(self, theta: Tensor) -> Tensor:
        """The matrices (B, 2, 3) of parameters (B, 1)."""
        zero = torch.zeros_like(theta)
        return super().matrix(torch.cat([theta.cos(), theta.sin(), zero, zero], dim=-1))
