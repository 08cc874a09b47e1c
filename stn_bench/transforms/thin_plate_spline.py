"""Thin-plate spline warps (Jaderberg et al. 2015, section 3.2)."""

from typing import Any

import torch
from torch import Tensor

from stn_bench.geometry import holds_numbers, thin_plate
from stn_bench.transforms.transform import Transform


class ThinPlateSpline(Transform):
    """The positions `(x, y)` in the input at which the points of a regular control grid look, 2 K numbers.

    The grid has `rows` x `columns` points and spans the output from edge to edge; the paper's has 4 x 4.
    Raises ValueError for a grid of fewer than 2 x 2 points, which fixes no spline.
    """

    def __init__(self, rows: int = 4, columns: int = 4) -> None:
        super().__init__()
        thin_plate.control_grid(rows, columns)  # raises
        self.rows, self.columns = rows, columns
        self.num_params = 2 * rows * columns
        self._controls: dict[tuple[torch.device, torch.dtype], Tensor] = {}

    @property
    def controls(self) -> Tensor:
        """The control points (K, 2), float64 and no buffer: exact whatever the network is moved to."""
        return thin_plate.control_grid(self.rows, self.columns)

    def identity(self) -> Tensor:
        """Each control point looks at its own place: (2 K,)."""
        return self.controls.flatten().float()

    def basis(self, points: Tensor) -> Tensor:
        """x, y and the cardinal splines, each one at its own control point and zero at all others: (..., 2 + K)."""
        return torch.cat([points, thin_plate.basis(points, self.controls)], dim=-1)

    def coefficients(self, theta: Tensor) -> Tensor:
        """The identity and the control points' displacements from it: (B, 2, 2 + K).

        A sum of displacements, rather than of positions, leaves the identity exact in float32.
        """
        identity = torch.eye(2, dtype=theta.dtype, device=theta.device).expand(theta.shape[0], 2, 2)
        displacements = theta.unflatten(-1, (-1, 2)) - self._controls_like(theta)  # (B, K, 2)
        return torch.cat([identity, displacements.mT], dim=-1)

    def __getstate__(self) -> dict[str, Any]:
        """Without the copies by device: what is loaded may lie on another."""
        return {**self.__dict__, "_controls": {}}

    def _controls_like(self, theta: Tensor) -> Tensor:
        key = (theta.device, theta.dtype)
        if key in self._controls:  # copied to a device once
            return self._controls[key]
        with torch.inference_mode(False):
            controls = self.controls.to(theta)
        if holds_numbers(controls):
            self._controls[key] = controls
        return controls
