"""Projective warps: a 3 x 3 matrix with 8 free numbers (Jaderberg et al. 2015, section 3.2)."""

import torch
from torch import Tensor

from stn_bench.geometry import affine, homography
from stn_bench.transforms.transform import Transform


class Projective(Transform):
    """The first eight numbers of a homography, row by row; the last is 1.

    Points at or behind the horizon (z not above `geometry.homography.HORIZON`) look out of sight.
    """

    num_params = 8

    def identity(self) -> Tensor:
        """The parameters (8,) of the identity."""
        return torch.eye(3).flatten()[:8]

    def basis(self, points: Tensor) -> Tensor:
        """The functions x, y and 1: (..., 3)."""
        return affine.homogeneous(points)

    def coefficients(self, theta: Tensor) -> Tensor:
        """The matrices (B, 3, 3) of parameters (B, 8)."""
        return torch.cat([theta, torch.ones_like(theta[:, :1])], dim=-1).unflatten(-1, (3, 3))

    def warp(self, theta: Tensor, basis: Tensor) -> Tensor:
        """The warped points (B, H, W, 2)."""
        return homography.divide(super().warp(theta, basis))

    def inverse_points(self, theta: Tensor, points: Tensor) -> Tensor:
        """Where in the output each input point is seen. Raises torch.linalg.LinAlgError where a matrix is singular."""
        self.check(theta)
        # not rescaled: the inverse's z is 1/z of `forward`, positive for just the points that are seen
        with torch.autocast(points.device.type, enabled=False):
            return homography.apply(homography.invert(self.coefficients(theta.to(points.dtype))), points)
