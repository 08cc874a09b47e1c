"""What a random warp that makes data is: it draws its numbers, and turns numbers into points."""

import math
from abc import ABC, abstractmethod

import torch
from torch import Generator, Tensor

from stn_bench.geometry import holds_numbers, pixel_grid, sample


class Distortion(ABC):
    """A family of random warps of images of `input_size` to a canvas of `output_size`, both (height, width) in pixels.

    A subclass gives `names`, `draw`, `warp` and its inverse, `unwarp`. What was drawn is kept by whoever drew it, so
    the warp that a transformer should undo is always known.
    Raises ValueError for sizes without a pixel or without end.
    """

    names: tuple[str, ...] = ()
    """What the columns of the drawn parameters are."""

    def __init__(self, input_size: tuple[int, int] = (28, 28), output_size: tuple[int, int] | None = None) -> None:
        self.input_size = (input_size[0], input_size[1])
        self.output_size = self.input_size if output_size is None else (output_size[0], output_size[1])
        for name, size in (("input_size", self.input_size), ("output_size", self.output_size)):
            if not all(1 <= side < math.inf for side in size):
                raise ValueError(f"{name}={size} is no size in pixels: give a height and a width of 1 or more")
        self._grids: dict[tuple[torch.device, torch.dtype], Tensor] = {}

    @abstractmethod
    def draw(self, n: int, generator: Generator) -> Tensor:
        """Parameters (n, P) of n warps, float32, on the generator's device."""

    @abstractmethod
    def warp(self, parameters: Tensor, points: Tensor) -> Tensor:
        """Where in the image points of the canvas look: parameters (B, P), points (H, W, 2) or (B, H, W, 2) ->
        (B, H, W, 2).
        """

    @abstractmethod
    def unwarp(self, parameters: Tensor, points: Tensor) -> Tensor:
        """Where on the canvas points of the image come to lie, the inverse of `warp`: same shapes."""

    def points(self, parameters: Tensor) -> Tensor:
        """Where in the image each pixel of the canvas looks: parameters (B, P) -> (B, H', W', 2)."""
        return self.warp(parameters, self.grid(parameters.device, parameters.dtype))

    def undo_points(self, parameters: Tensor) -> Tensor:
        """Where on the canvas each pixel of the image comes to lie: parameters (B, P) -> (B, H, W, 2).

        What a transformer that undoes the distortion would have to sample at.
        """
        grid = pixel_grid(*self.input_size, dtype=parameters.dtype, device=parameters.device)
        return self.unwarp(parameters, grid)

    def __call__(self, images: Tensor, parameters: Tensor) -> Tensor:
        """Images (B, C, H, W) as parameters (B, P) distort them: (B, C, H', W'), bilinear, 0 outside.

        Raises ValueError for images of another size, and for parameters of another number.
        """
        self._check(images, self.input_size, parameters)
        with torch.autocast(images.device.type, enabled=False):  # half precision loses sub-pixel positions
            return sample(images, self.points(parameters))

    def undo(self, canvases: Tensor, parameters: Tensor) -> Tensor:
        """Canvases (B, C, H', W') read where the image's pixels came to lie: (B, C, H, W), bilinear, 0 outside.

        Raises ValueError as a call does.
        """
        self._check(canvases, self.output_size, parameters)
        with torch.autocast(canvases.device.type, enabled=False):
            return sample(canvases, self.undo_points(parameters))

    def grid(self, device: torch.device, dtype: torch.dtype = torch.float32) -> Tensor:
        """The canvas' pixel grid (H', W', 2) on a device in a dtype, made once."""
        key = (device, dtype)
        if key in self._grids:
            return self._grids[key]
        with torch.inference_mode(False):  # kept, it may serve training next
            grid = pixel_grid(*self.output_size, dtype=dtype, device=device)
        if holds_numbers(grid):
            self._grids[key] = grid
        return grid

    def _check(self, images: Tensor, size: tuple[int, int], parameters: Tensor) -> None:
        if images.shape[-2:] != size:
            raise ValueError(f"{type(self).__name__} takes {size} pixels, found {tuple(images.shape[-2:])}")
        if parameters.shape[1:] != (len(self.names),):
            raise ValueError(
                f"{type(self).__name__} takes parameters (B, {len(self.names)}), found {tuple(parameters.shape)}"
            )


def check_strengths(**strengths: float) -> None:
    """Raise ValueError for a strength below 0 or without end, by its name."""
    for name, strength in strengths.items():
        if not 0 <= strength < math.inf:
            raise ValueError(f"{name}={strength} is no strength: give a finite number, 0 or more")


def check_scales(min_scale: float, max_scale: float) -> None:
    """Raise ValueError for bounds of a scale that are not above 0, without end, or the wrong way round."""
    if not 0 < min_scale <= max_scale < math.inf:
        raise ValueError(
            f"min_scale={min_scale}, max_scale={max_scale}: scales are finite, above 0, the smaller one first"
        )


def uniform(n: int, low: float, high: float, generator: Generator) -> Tensor:
    """n numbers uniform in [low, high): (n,), float32, on the generator's device."""
    return low + (high - low) * torch.rand(n, generator=generator, dtype=torch.float32, device=generator.device)


def normal(n: int, columns: int, std: float, generator: Generator) -> Tensor:
    """n rows of normal numbers of mean 0: (n, columns), float32, on the generator's device."""
    return std * torch.randn(n, columns, generator=generator, dtype=torch.float32, device=generator.device)
