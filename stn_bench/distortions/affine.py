"""Rotation (R) and rotation, scale, translation (RTS) of digits (Jaderberg et al. 2015; A.4 by re-implementations)."""

import math

import torch
from torch import Generator, Tensor

from stn_bench.distortions.distortion import Distortion, check_scales, check_strengths, uniform
from stn_bench.geometry import affine


class Undistorted(Distortion):
    """Leaves the image as it is."""

    def draw(self, n: int, generator: Generator) -> Tensor:
        """Nothing to draw: (n, 0)."""
        return torch.empty(n, 0, dtype=torch.float32, device=generator.device)

    def warp(self, parameters: Tensor, points: Tensor) -> Tensor:
        """Every point looks at its own place: (B, H, W, 2)."""
        return points.expand(len(parameters), -1, -1, -1)

    def unwarp(self, parameters: Tensor, points: Tensor) -> Tensor:
        """Every point stays in its place: (B, H, W, 2)."""
        return points.expand(len(parameters), -1, -1, -1)


class Rotation(Distortion):
    """R: rotation about the image's centre, uniform in +-`max_degrees`; positive angles turn counter-clockwise.

    Raises ValueError where `max_degrees` is below 0 or without end.
    """

    names = ("angle_radians",)

    def __init__(self, max_degrees: float = 90.0, input_size: tuple[int, int] = (28, 28)) -> None:
        super().__init__(input_size)
        check_strengths(max_degrees=max_degrees)
        self.max_degrees = max_degrees

    def draw(self, n: int, generator: Generator) -> Tensor:
        """Angles (n, 1) in radians."""
        limit = math.radians(self.max_degrees)
        return uniform(n, -limit, limit, generator)[:, None]

    def warp(self, parameters: Tensor, points: Tensor) -> Tensor:
        """Where points of the canvas look: (B, H, W, 2)."""
        return affine.apply(self._matrix(parameters), points)

    def unwarp(self, parameters: Tensor, points: Tensor) -> Tensor:
        """Where points of the image come to lie: (B, H, W, 2)."""
        return affine.apply(affine.invert(self._matrix(parameters)), points)

    def _matrix(self, parameters: Tensor) -> Tensor:
        return affine.from_pixels(affine.rotation(parameters[:, 0]), self.input_size, self.output_size)


class RotationScaleTranslation(Distortion):
    """RTS: rotation uniform in +-`max_degrees`, scale uniform in [`min_scale`, `max_scale`], then a uniform place.

    The place is uniform among those at which the scaled image, before it is rotated, lies inside the canvas.
    Raises ValueError where the largest scale does not fit, a scale is not above 0, or `max_degrees` is below 0 or
    without end.
    """

    names = ("angle_radians", "scale", "shift_x_pixels", "shift_y_pixels")

    def __init__(
        self,
        max_degrees: float = 45.0,
        min_scale: float = 0.7,
        max_scale: float = 1.2,
        input_size: tuple[int, int] = (28, 28),
        output_size: tuple[int, int] = (42, 42),
    ) -> None:
        super().__init__(input_size, output_size)
        check_strengths(max_degrees=max_degrees)
        check_scales(min_scale, max_scale)
        fits = min(canvas / side for canvas, side in zip(self.output_size, self.input_size, strict=True))
        if max_scale > fits:
            raise ValueError(
                f"max_scale={max_scale} is too large: an image of {self.input_size} pixels fits a canvas of "
                f"{self.output_size} up to scale {fits:.2f}"
            )
        self.max_degrees, self.min_scale, self.max_scale = max_degrees, min_scale, max_scale

    def draw(self, n: int, generator: Generator) -> Tensor:
        """Angles in radians, scales, shifts of the image's centre in pixels: (n, 4)."""
        limit = math.radians(self.max_degrees)
        angle = uniform(n, -limit, limit, generator)
        scale = uniform(n, self.min_scale, self.max_scale, generator)
        (height, width), (canvas_height, canvas_width) = self.input_size, self.output_size
        shift_x = uniform(n, -0.5, 0.5, generator) * (canvas_width - width * scale)
        shift_y = uniform(n, -0.5, 0.5, generator) * (canvas_height - height * scale)
        return torch.stack([angle, scale, shift_x, shift_y], dim=1)

    def warp(self, parameters: Tensor, points: Tensor) -> Tensor:
        """Where points of the canvas look: (B, H, W, 2)."""
        return affine.apply(self._matrix(parameters), points)

    def unwarp(self, parameters: Tensor, points: Tensor) -> Tensor:
        """Where points of the image come to lie: (B, H, W, 2)."""
        return affine.apply(affine.invert(self._matrix(parameters)), points)

    def _matrix(self, parameters: Tensor) -> Tensor:
        angle, scale, shift = parameters[:, 0], parameters[:, 1], parameters[:, 2:]
        turned = affine.compose(affine.scaling(1 / scale), affine.rotation(angle))
        moved = affine.compose(turned, affine.translation(-shift))
        return affine.from_pixels(moved, self.input_size, self.output_size)
