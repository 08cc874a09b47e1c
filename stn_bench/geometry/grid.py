"""The pixel grid: where the pixel centres of an image lie. The only caller of meshgrid."""

import torch
from torch import Tensor


def pixel_grid(
    height: int, width: int, *, dtype: torch.dtype = torch.float32, device: torch.device | str | None = None
) -> Tensor:
    """The centres of all pixels as points `(x, y)` in [-1, 1], where -1 and 1 are the image's outer edges.

    Returns a tensor (height, width, 2). Pixel i of W lies at `(2i + 1)/W - 1`.
    Raises ValueError for an image without pixels.
    """
    if height < 1 or width < 1:
        raise ValueError(f"an image of {height} x {width} pixels has no grid: both sides must be at least 1")
    y, x = torch.meshgrid(_centres(height), _centres(width), indexing="ij")
    return torch.stack([x, y], dim=-1).to(device=device, dtype=dtype)


def _centres(size: int) -> Tensor:
    # float64: the division is exact to the last bit of any dtype asked for
    return (2 * torch.arange(size, dtype=torch.float64) + 1) / size - 1
