"""The baselines, FCN and CNN (Jaderberg et al. 2015, section 4.1; A.4 by re-implementations)."""

from math import ceil

from torch import Tensor, nn

from stn_bench.models.budget import check_widths, widest
from stn_bench.models.layers import ConvolutionStage, Layers

BUDGET = 400_000
"""About the number of parameters that each of the paper's models has (section 4.1)."""


class FCN(Layers):
    """Two hidden fully connected layers and a classification layer: images (B, C, H, W) to logits (B, classes).

    `units` is the width of both hidden layers, the largest that keeps to `parameters_budget` if None.
    Raises ValueError where the budget is too small, or `units` below 1.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        classes: int,
        units: int | None = None,
        parameters_budget: int = BUDGET,
    ) -> None:
        check_widths(units=units)
        if units is None:
            units = widest(lambda width: FCN(image_shape, classes, width), parameters_budget)
        channels, height, width = image_shape
        super().__init__(
            nn.Flatten(),
            nn.Linear(channels * height * width, units),
            nn.ReLU(),
            nn.Linear(units, units),
            nn.ReLU(),
            nn.Linear(units, classes),
        )
        self.width = units


class CNN(nn.Module):
    """conv - pool - conv - pool - classification: images (B, C, H, W) to logits (B, classes).

    Two convolutions of `filters` filters each, of 9x9 and 7x7 pixels, stride 1, no padding, each followed by 2x2 max
    pooling that keeps a last odd row and column, and a ReLU. Images of less than `min_size` pixels on a side are
    surrounded by zeros up to it. `filters` is the largest number that keeps to `parameters_budget` if None.
    Raises ValueError where the budget, `filters`, or `min_size` and the image, are too small.
    """

    kernel_sizes = (9, 7)

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        classes: int,
        filters: int | None = None,
        parameters_budget: int = BUDGET,
        min_size: int = 28,
    ) -> None:
        super().__init__()
        check_widths(filters=filters)
        channels, *size = image_shape
        missing = [max(0, min_size - side) for side in size]
        above, left = missing[0] // 2, missing[1] // 2
        self.border = nn.ZeroPad2d((left, missing[1] - left, above, missing[0] - above))
        size = [side + border for side, border in zip(size, missing, strict=True)]
        for kernel in self.kernel_sizes:
            size = [side - kernel + 1 for side in size]
            if min(size) < 1:
                raise ValueError(
                    f"images of {image_shape[1:]} pixels are too small for convolutions of {self.kernel_sizes}"
                )
            size = [ceil(side / 2) for side in size]
        if filters is None:
            filters = widest(lambda width: CNN(image_shape, classes, width, min_size=min_size), parameters_budget)
        first, second = self.kernel_sizes
        self.width = filters
        self.conv1 = ConvolutionStage(channels, filters, first)
        self.conv2 = ConvolutionStage(filters, filters, second)
        self.classify = nn.Linear(filters * size[0] * size[1], classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, classes)."""
        return self.classify(self.conv2(self.conv1(self.border(images))).flatten(1))
