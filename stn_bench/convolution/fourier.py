"""Discrete Fourier transforms of real images (H, W, N), as products with constant matrices.

They are as long as the largest image; a smaller one counts as continued by zeros, below and to its right. A spectrum
is (K, 2, N): of K frequencies the real part, then the imaginary part. Of most conjugate frequencies one is kept.
"""

import functools
import math

import torch
from torch import Tensor


class Separable:
    """Along the height, then along the width: a fifth of the multiplications for 17 x 17 pixels, half of the time."""

    def __init__(self, height: int, width: int, dtype: torch.dtype) -> None:
        down, along = _angles(height)[: height // 2 + 1], _angles(width)  # the image is real: half the height will do
        counted = torch.tensor([1.0 if 2 * y % height == 0 else 2.0 for y in range(len(down))], dtype=torch.float64)
        rows = torch.stack([down.cos(), -down.sin()], dim=1)  # (Y, 2, H)
        real = torch.stack([along.cos(), along.sin()], dim=1)
        imaginary = torch.stack([-along.sin(), along.cos()], dim=1)
        self._rows = rows.to(dtype)
        self._rows_back = (rows * counted[:, None, None] / (height * width)).to(dtype)
        self._columns = torch.stack([real, imaginary], dim=1).to(dtype)  # (X, 2, 2, W)

    def ahead(self, images: Tensor) -> Tensor:
        """Images (h, w, N) -> their spectrum (K, 2, N)."""
        height, width, count = images.shape
        rows = self._rows[..., :height].flatten(0, 1)  # (2 Y, h)
        lines = (rows @ images.reshape(height, -1)).view(-1, 2 * width, count)  # (Y, 2 w, N)
        return torch.bmm(self._along(width, len(lines)), lines).view(-1, 2, count)

    def back(self, spectrum: Tensor, height: int, width: int) -> Tensor:
        """Spectrum (K, 2, N) -> the upper left pixels (height, width, N) of its images."""
        count = len(self._rows)
        rows = self._rows_back[..., :height].flatten(0, 1)  # (2 Y, h)
        lines = torch.bmm(self._along(width, count).mT, spectrum.reshape(count, 2 * len(self._columns), -1))
        return (rows.t() @ lines.view(len(rows), -1)).view(height, width, -1)

    def _along(self, width: int, count: int) -> Tensor:
        """(count, 2 X, 2 w): a complex transform in real numbers."""
        return self._columns[..., :width].flatten(2).flatten(0, 1).expand(count, -1, -1)

    @staticmethod
    def frequencies(height: int, width: int) -> int:
        """How many frequencies K there are."""
        return (height // 2 + 1) * width

    @staticmethod
    def cost(size: tuple[int, int], height: int, width: int) -> int:
        """Multiplications from height x width pixels, or to them, by the transform for images of `size`."""
        down = 2 * (size[0] // 2 + 1)
        return down * width * (height + 2 * size[1])


class Whole:
    """In one product: for bfloat16, which multiplies fast and rounds each product."""

    def __init__(self, height: int, width: int, dtype: torch.dtype) -> None:
        waves = torch.cartesian_prod(torch.arange(height), torch.arange(width))
        conjugate = -waves % torch.tensor([height, width])
        own, other = (pairs[:, 0] * width + pairs[:, 1] for pairs in (waves, conjugate))
        kept = own <= other
        counted = torch.where(own == other, 1.0, 2.0).double()[kept]
        y, x = waves[kept].unbind(1)
        angles = _angles(height)[y][:, :, None] + _angles(width)[x][:, None, :]  # (K, H, W)
        matrix = torch.stack([angles.cos(), -angles.sin()], dim=1)
        self._matrix = matrix.to(dtype)
        self._matrix_back = (matrix * counted[:, None, None, None] / (height * width)).to(dtype)

    def ahead(self, images: Tensor) -> Tensor:
        """Images (h, w, N) -> their spectrum (K, 2, N)."""
        height, width, count = images.shape
        matrix = self._matrix[..., :height, :width].reshape(-1, height * width)
        return (matrix @ images.reshape(-1, count)).view(-1, 2, count)

    def back(self, spectrum: Tensor, height: int, width: int) -> Tensor:
        """Spectrum (K, 2, N) -> the upper left pixels (height, width, N) of its images."""
        matrix = self._matrix_back[..., :height, :width].reshape(-1, height * width)
        return (matrix.t() @ spectrum.reshape(len(matrix), -1)).view(height, width, -1)

    @staticmethod
    def frequencies(height: int, width: int) -> int:
        """How many frequencies K there are."""
        return (height * width + (2 - height % 2) * (2 - width % 2)) // 2

    @staticmethod
    def cost(size: tuple[int, int], height: int, width: int) -> int:
        """Multiplications from height x width pixels, or to them, by the transform for images of `size`."""
        return 2 * Whole.frequencies(*size) * height * width


def kind(dtype: torch.dtype) -> type[Separable] | type[Whole]:
    """Which transform is faster, and as exact, in a precision."""
    return Whole if torch.finfo(dtype).bits < 32 else Separable


@functools.cache
@torch.inference_mode(False)  # kept, they may serve training next
def fourier(height: int, width: int, dtype: torch.dtype) -> Separable | Whole:
    """The transform for images of height x width pixels, from float64."""
    return kind(dtype)(height, width, dtype)


def _angles(length: int) -> Tensor:
    """(frequency, pixel), in radians."""
    places = torch.arange(length).double()
    return 2 * math.pi / length * torch.outer(places, places)
