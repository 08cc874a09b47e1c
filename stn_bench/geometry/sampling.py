"""Reading an image at points (Jaderberg et al. 2015, section 3.3). The only caller of grid_sample."""

from typing import Literal, get_args

import torch
from torch import Tensor

Kernel = Literal["bilinear", "nearest", "bicubic"]
Padding = Literal["zeros", "border"]
KERNELS, PADDINGS = get_args(Kernel), get_args(Padding)  # here, as older compilers do not trace the question


def sample(image: Tensor, points: Tensor, kernel: Kernel = "bilinear", padding: Padding = "zeros") -> Tensor:
    """Read `image` (B, C, H, W) at `points` (B, H', W', 2): (B, C, H', W') in the image's dtype.

    Points are `(x, y)` in [-1, 1] between the image's outer edges; outside lies 0 ("zeros") or the nearest edge
    pixel ("border"). Reading is done in float32 at least: half precision loses sub-pixel positions.
    Raises ValueError for an unknown kernel or padding, and for an image of whole numbers, which would be cut.
    """
    check_sampling(kernel, padding)
    if not image.is_floating_point():
        raise ValueError(f"an image of {image.dtype} cannot be read between its pixels: give floating-point numbers")
    precise = torch.promote_types(image.dtype, torch.float32)
    with torch.autocast(image.device.type, enabled=False):
        read = torch.nn.functional.grid_sample(
            image.to(precise), points.to(precise), mode=kernel, padding_mode=padding, align_corners=False
        )
    return read.to(image.dtype)


def check_sampling(kernel: str, padding: str) -> None:
    """Raise ValueError for a kernel or a padding that `sample` does not know."""
    if kernel not in KERNELS:
        raise ValueError(f"unknown sampling kernel {kernel!r}: use one of {', '.join(KERNELS)}")
    if padding not in PADDINGS:
        raise ValueError(f"unknown padding {padding!r}: use one of {', '.join(PADDINGS)}")
