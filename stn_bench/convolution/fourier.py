"""Discrete Fourier transforms of real images, as products with constant matrices.

Images are (pixels, N), and may be smaller than the transform: then they count as continued by zeros, below and to the
right. Spectra are (2 K, N): of each of K frequencies the real part, then the imaginary part; of two conjugate
frequencies one is kept. An inverse is the transpose of a transform, made with `inverse=True`.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

Size = tuple[int, int]


class Separable:
    """Along the height, then along the width: a fifth of the multiplications for 17 x 17 pixels, half of the time.

    An image is real, and so are its lines at the frequencies 0 and H / 2 of the height: they are transformed as real
    numbers, the others, of which half will do, as complex ones.
    """

    def __init__(self, size: Size, part: Size, like: Tensor, inverse: bool = False) -> None:
        down, along = (_angles(*lengths) for lengths in zip(size, part, strict=True))
        own, others = down[[0, size[0] // 2][: 2 - size[0] % 2]], down[1 : (size[0] + 1) // 2]
        pairs = torch.stack([others.cos(), -others.sin()], dim=1).flatten(0, 1)
        self._rows = torch.cat([own.cos(), pairs]).to(like)  # (H, h)
        real, imaginary = torch.cat([along.cos(), along.sin()], 1), torch.cat([-along.sin(), along.cos()], 1)
        columns = torch.stack([real, imaginary], dim=1)  # (X, 2, 2 w)
        halves = columns[: size[1] // 2 + 1, :, : part[1]]
        if inverse:
            counted = torch.tensor([1.0 if 2 * x % size[1] == 0 else 2.0 for x in range(len(halves))]).double()
            halves, columns = halves * counted[:, None, None] / math.prod(size), columns * 2 / math.prod(size)
        self._columns = [  # of the real lines, then of the others: (Y, 2 X, w or 2 w)
            matrix.flatten(0, 1).to(like).expand(len(lines), -1, -1)
            for matrix, lines in ((halves, own), (columns, others))
            if len(lines)
        ]

    def spectrum(self, images: Tensor) -> Tensor:
        """Images (h w, N) -> (2 K, N)."""
        lines = (self._rows @ images.reshape(self._rows.shape[1], -1)).view(-1, images.shape[1])
        spectrum = lines.new_empty(sum(matrix[..., 0].numel() for matrix in self._columns), images.shape[1])
        for seen, matrix, found in self._parts(lines, spectrum):
            torch.bmm(matrix, seen, out=found)
        return spectrum

    def transposed(self, spectrum: Tensor) -> Tensor:
        """Spectra (2 K, N) -> (h w, N)."""
        lines = spectrum.new_empty(sum(matrix[:, 0].numel() for matrix in self._columns), spectrum.shape[1])
        for found, matrix, seen in self._parts(lines, spectrum):
            torch.bmm(matrix.mT, seen, out=found)
        return (self._rows.t() @ lines.view(len(self._rows), -1)).view(-1, spectrum.shape[1])

    def _parts(self, lines: Tensor, spectrum: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Real lines, then the others: (Y, w or 2 w, N), their matrix, and their spectrum, (Y, 2 X, N)."""
        of_lines = lines.split([matrix[:, 0].numel() for matrix in self._columns])
        of_spectrum = spectrum.split([matrix[..., 0].numel() for matrix in self._columns])
        return [
            (part.view(len(matrix), matrix.shape[2], -1), matrix, result.view(len(matrix), matrix.shape[1], -1))
            for part, matrix, result in zip(of_lines, self._columns, of_spectrum, strict=True)
        ]

    @staticmethod
    def cost(size: Size, part: Size) -> int:
        """Multiplications a channel, about."""
        return size[0] * part[1] * (part[0] + 2 * size[1])


class Whole:
    """In one product: for bfloat16, which multiplies fast and rounds each product."""

    def __init__(self, size: Size, part: Size, like: Tensor, inverse: bool = False) -> None:
        waves = torch.cartesian_prod(*(torch.arange(length) for length in size))
        conjugate = -waves % torch.tensor(size)
        first, second = (pairs[:, 0] * size[1] + pairs[:, 1] for pairs in (waves, conjugate))
        y, x = waves[first <= second].unbind(1)
        down, along = (_angles(*lengths) for lengths in zip(size, part, strict=True))
        angles = (down[y][:, :, None] + along[x][:, None, :]).flatten(1)
        matrix = torch.stack([angles.cos(), -angles.sin()], dim=1)  # (K, 2, h w)
        if inverse:
            counted = torch.where(first == second, 1.0, 2.0).double()[first <= second]
            matrix = matrix * counted[:, None, None] / math.prod(size)
        self._matrix = matrix.flatten(0, 1).to(like)

    def spectrum(self, images: Tensor) -> Tensor:
        """Images (h w, N) -> (2 K, N)."""
        return self._matrix @ images

    def transposed(self, spectrum: Tensor) -> Tensor:
        """Spectra (2 K, N) -> (h w, N)."""
        return self._matrix.t() @ spectrum

    @staticmethod
    def cost(size: Size, part: Size) -> int:
        """Multiplications a channel."""
        return 2 * frequency_count(size) * math.prod(part)


class Fourier(NamedTuple):
    """The transforms of images, of kernels, and, from the product of the two, back to the pixels of the result."""

    image: Separable | Whole
    kernel: Separable | Whole
    inverse: Separable | Whole


def frequency_count(size: Size) -> int:
    """K, of images of a size (H, W)."""
    own = (2 - size[0] % 2) * (2 - size[1] % 2)  # their own conjugates
    return (math.prod(size) + own) // 2


def kind(dtype: torch.dtype) -> type[Separable] | type[Whole]:
    """Which kind of transform is faster, and as exact, in a precision."""
    return Whole if torch.finfo(dtype).bits < 32 else Separable


def fourier(size: Size, kernel: int, dtype: torch.dtype, device: torch.device) -> Fourier:
    """The transforms for images of a size (H, W) and k x k kernels, from float64."""
    plain = type(torch.empty(0, device=device)) is Tensor  # a mode that fakes tensors makes what is not to be kept
    return (_fourier if plain else _fourier.__wrapped__)(size, kernel, dtype, device)


@functools.cache
@torch.inference_mode(False)  # kept, they may serve training next
def _fourier(size: Size, kernel: int, dtype: torch.dtype, device: torch.device) -> Fourier:
    result = (size[0] - kernel + 1, size[1] - kernel + 1)
    made, like = kind(dtype), torch.empty(0, dtype=dtype, device=device)
    return Fourier(made(size, size, like), made(size, (kernel, kernel), like), made(size, result, like, inverse=True))


def ahead(transform: Separable | Whole, images: Tensor) -> Tensor:
    """Images (pixels, N) -> their spectrum (2 K, N)."""
    spectrum: Tensor = _Linear.apply(images, transform.spectrum, transform.transposed)
    return spectrum


def back(transform: Separable | Whole, spectrum: Tensor) -> Tensor:
    """Spectra (2 K, N) -> their images (pixels, N)."""
    images: Tensor = _Linear.apply(spectrum, transform.transposed, transform.spectrum)
    return images


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor, product: Callable[[Tensor], Tensor], transposed: Any) -> Tensor:
        ctx.transposed = transposed
        return product(tensor)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        with torch.autocast(gradient.device.type, enabled=False):  # which may be on where `backward` is called
            return ctx.transposed(gradient.contiguous()), None, None


def _angles(length: int, pixels: int) -> Tensor:
    """(frequency, pixel), in radians."""
    return 2 * math.pi / length * torch.outer(torch.arange(length).double(), torch.arange(pixels).double())
