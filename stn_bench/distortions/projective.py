"""Projective distortion (P) of digits (Jaderberg et al. 2015, section 4.1; A.4 by re-implementations)."""

import torch
from torch import Generator, Tensor

from stn_bench.distortions.distortion import Distortion, check_scales, check_strengths, normal, uniform
from stn_bench.geometry import homography

CORNERS = ((-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0))
"""The image's outer corners, clockwise from the top left."""


class Projective(Distortion):
    """P: the image is scaled about its centre, uniform in [`min_scale`, `max_scale`], then each of its four corners is
    moved in x and y by normal amounts of `corner_std_pixels`; the homography through the corners draws it.
    Raises ValueError where `corner_std_pixels` is below 0 or a scale not above 0, or one of them without end.
    """

    names = ("scale", *(f"corner{corner}_{axis}_pixels" for corner in range(4) for axis in "xy"))

    def __init__(
        self,
        corner_std_pixels: float = 3.5,
        min_scale: float = 0.75,
        max_scale: float = 1.0,
        input_size: tuple[int, int] = (28, 28),
    ) -> None:
        super().__init__(input_size)
        check_strengths(corner_std_pixels=corner_std_pixels)
        check_scales(min_scale, max_scale)
        self.corner_std_pixels, self.min_scale, self.max_scale = corner_std_pixels, min_scale, max_scale

    def draw(self, n: int, generator: Generator) -> Tensor:
        """Scales, and the corners' moves in pixels: (n, 9)."""
        scale = uniform(n, self.min_scale, self.max_scale, generator)
        moves = normal(n, 8, self.corner_std_pixels, generator)
        return torch.cat([scale[:, None], moves], dim=1)

    def warp(self, parameters: Tensor, points: Tensor) -> Tensor:
        """Where points of the canvas look: (B, H, W, 2)."""
        return homography.apply(self._matrix(parameters), points)

    def unwarp(self, parameters: Tensor, points: Tensor) -> Tensor:
        """Where points of the image come to lie: (B, H, W, 2); out of sight those that no point of the canvas sees."""
        return homography.apply(homography.invert(self._matrix(parameters)), points)

    def _matrix(self, parameters: Tensor) -> Tensor:
        height, width = self.output_size
        corners = parameters.new_tensor(CORNERS).expand(len(parameters), 4, 2)
        moves = parameters[:, 1:].unflatten(1, (4, 2)) * parameters.new_tensor([2 / width, 2 / height])
        drawn_at = parameters[:, :1, None] * corners + moves  # where on the canvas the corners come to lie
        return homography.from_corners(drawn_at, corners)
