"""What a field of points does to an image: how much lies outside, how areas change, where it folds over."""

import torch
from torch import Tensor


def outside(points: Tensor) -> Tensor:
    """The share of points (B, H, W, 2) outside of the image's frame: (B,)."""
    return (points.abs() > 1).any(dim=-1).float().mean(dim=(1, 2))


def area(points: Tensor) -> Tensor:
    """The signed area that each square of four neighbouring output pixels covers in the input: (B, H - 1, W - 1).

    1 for the identity, 1/4 for a zoom by 2; negative where the warp mirrors or folds over.
    """
    height, width = points.shape[1:3]
    along_x = (points[:, :, 1:] - points[:, :, :-1]) * (width / 2)  # (B, H, W - 1, 2), in output pixels
    along_y = (points[:, 1:] - points[:, :-1]) * (height / 2)  # (B, H - 1, W, 2)
    right = (along_x[:, 1:] + along_x[:, :-1]) / 2
    down = (along_y[:, :, 1:] + along_y[:, :, :-1]) / 2
    return right[..., 0] * down[..., 1] - right[..., 1] * down[..., 0]


def folded(points: Tensor) -> Tensor:
    """The share of squares of neighbouring output pixels that are mirrored, folded or collapsed: (B,)."""
    return (area(points) <= 0).float().mean(dim=(1, 2))


def summary(points: Tensor) -> dict[str, float]:
    """Means over a batch of `outside` and `folded`, and the median area: what tells a lost transformer.

    An output one pixel high or wide has no areas, and `outside` alone.
    """
    beyond = {"outside": float(outside(points).mean())}
    if min(points.shape[1:3]) < 2:
        return beyond
    return beyond | {
        "folded": float(folded(points).mean()),
        "median_area": float(torch.median(area(points))),
    }
