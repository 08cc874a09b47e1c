"""Pictures: what a transformer looks at, and what the distortions make of digits.

matplotlib is imported with the first picture: a run's first step need not wait for it, and baselines draw none.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def warp_figure(inputs: Tensor, points: Tensor, outputs: Tensor) -> Figure:
    """Inputs (B, C, H, W) with the frames sampled at points (B, H', W', 2) drawn on them, outputs (B, C, H', W') below.

    The frame's first edge, the top of the output, is drawn thicker. What of a frame is farther from the input than five
    eighths of a side is left out: it would leave the pictures no room. The first channel is shown.
    """
    count = len(inputs)
    figure = _canvas(columns=count, rows=2)
    axes = figure.subplots(2, count, squeeze=False)
    for column in range(count):
        above, below = axes[0, column], axes[1, column]
        _image(above, inputs[column, 0])
        edges = _frame(points[column], inputs.shape[-2:])
        for edge, width in zip(edges, (2.2, 1.0, 1.0, 1.0), strict=True):
            above.plot(edge[:, 0], edge[:, 1], color="#ff7f0e", linewidth=width, clip_on=False)
        _image(below, outputs[column, 0])
    ground = {"facecolor": "white", "edgecolor": "none", "pad": 1}  # frames may reach as far as the words
    axes[0, 0].set_ylabel("input, frame", fontsize=9, bbox=ground)
    axes[0, 0].set_axisbelow(False)
    axes[1, 0].set_ylabel("output", fontsize=9)
    return figure


def contact_sheet(rows: dict[str, Tensor]) -> Figure:
    """Images (B, C, H, W) by label, a row each."""
    count = max(len(images) for images in rows.values())
    figure = _canvas(columns=count, rows=len(rows))
    axes = figure.subplots(len(rows), count, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for row, (label, images) in zip(axes, rows.items(), strict=True):
        for axis, image in zip(row, images, strict=False):
            axis.set_axis_on()
            _image(axis, image[0])
        row[0].set_ylabel(label, fontsize=10)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG file, whatever its name ends in, making its folder where there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120, format="png")


def _canvas(columns: int, rows: int) -> Figure:
    from matplotlib.figure import Figure  # not pyplot: no display, no global state

    return Figure(figsize=(1.1 * columns + 0.4, 1.2 * rows + 0.2), layout="constrained")


def _image(axis: object, pixels: Tensor) -> None:
    height, width = pixels.shape
    axis.imshow(  # type: ignore[attr-defined]
        pixels.float().cpu().numpy(), cmap="gray", vmin=0, vmax=1, extent=(-0.5, width - 0.5, height - 0.5, -0.5)
    )
    axis.set(xticks=[], yticks=[], xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))  # type: ignore[attr-defined]


def _frame(points: Tensor, size: Sequence[int]) -> list[np.ndarray]:
    """The four sides of the sampled area as lines in pixels of the input, the top one first; NaN where far outside."""
    height, width = size
    seen = points.cpu().double().numpy()  # (H', W', 2)
    pixels = (seen + 1) * np.array([width, height]) / 2 - 0.5
    pixels[(np.abs(seen) > 2.25).any(axis=-1)] = np.nan
    return [pixels[0], pixels[:, -1], pixels[-1, ::-1], pixels[::-1, 0]]
