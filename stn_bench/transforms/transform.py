"""What a warp that a network can predict is: numbers and points in, points out."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from stn_bench.geometry.affine import combine


class NoClosedFormInverse(ValueError):
    """Raised by `inverse_points` of a warp whose inverse has no closed form."""


class Transform(nn.Module, ABC):
    """A family of warps, each a function of P parameters and of points, linear in constants of the points.

    A subclass gives `num_params`, `identity`, `basis` and `coefficients`; a warp that is not a plain linear
    combination of its basis also gives `warp`.
    """

    num_params: int
    """P, how many numbers fix one warp."""

    @abstractmethod
    def identity(self) -> Tensor:
        """The parameters (P,) that leave every point where it is."""

    @abstractmethod
    def basis(self, points: Tensor) -> Tensor:
        """The functions of the points (H, W, 2) or (B, H, W, 2) that warps combine: (..., M). Constant in theta.

        A transformer keeps them for each output size, unless the transform has parameters or buffers of its own.
        """

    @abstractmethod
    def coefficients(self, theta: Tensor) -> Tensor:
        """The weights (B, D, M) of the basis functions for parameters `theta` (B, P)."""

    def warp(self, theta: Tensor, basis: Tensor) -> Tensor:
        """The warped points (B, H, W, 2) from parameters (B, P) and the `basis` of the points."""
        return combine(basis, self.coefficients(theta))

    def forward(self, theta: Tensor, points: Tensor) -> Tensor:
        """Where in the input each output point looks.

        `theta` (B, P); `points` (H, W, 2), shared, or (B, H, W, 2), each image its own -> (B, H, W, 2).
        Raises ValueError where `theta` does not have P columns.
        """
        self.check(theta)
        with torch.autocast(points.device.type, enabled=False):  # half precision loses sub-pixel positions
            return self.warp(theta.to(points.dtype), self.basis(points))

    def inverse_points(self, theta: Tensor, points: Tensor) -> Tensor:
        """Where in the output each input point is seen: the inverse of `forward`, shapes alike.

        Raises NoClosedFormInverse for families that have none.
        """
        raise NoClosedFormInverse(
            f"{type(self).__name__} has no inverse in closed form: use an affine or projective transform, "
            "or search for the output point whose warped position is nearest"
        )

    def check(self, theta: Tensor) -> None:
        """Raise ValueError unless `theta` is (B, P)."""
        if theta.ndim != 2 or theta.shape[1] != self.num_params:
            raise ValueError(
                f"{type(self).__name__} takes parameters of shape (B, {self.num_params}), found {tuple(theta.shape)}"
            )

    def extra_repr(self) -> str:
        """The number of parameters, for `print(model)`."""
        return f"num_params={self.num_params}"
