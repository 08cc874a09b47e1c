"""A convolution, with its ReLU and its pooling, average pooling, and layers one after another."""

from collections import OrderedDict
from typing import Any

from torch import Tensor, nn

from stn_bench.convolution import average_pool, convolve_relu, convolve_relu_pool


class ConvolutionStage(nn.Conv2d):
    """Convolution, ReLU and, if `pool`, 2x2 max pooling: (B, C, H, W) to (B, F, H - k + 1, W - k + 1) or half of that.

    Stride 1, no padding. `ceil_mode`: whether pooling keeps a last odd row and column.
    """

    def __init__(
        self, channels: int, filters: int, kernel_size: int, pool: bool = True, ceil_mode: bool = True
    ) -> None:
        super().__init__(channels, filters, kernel_size)
        self.pool, self.ceil_mode = pool, ceil_mode

    def forward(self, images: Tensor) -> Tensor:
        """Features."""
        assert self.bias is not None
        if self.pool:
            return convolve_relu_pool(images, self.weight, self.bias, self.ceil_mode)
        return convolve_relu(images, self.weight, self.bias)


class AveragePool(nn.Module):
    """2x2 average pooling: (B, C, H, W) to half of H and W, without a last odd row and column."""

    def forward(self, images: Tensor) -> Tensor:
        """The means of the windows."""
        return average_pool(images)


class Layers(nn.Sequential):
    """Layers one after another, of a class that is not made from layers: a slice of them is a plain `nn.Sequential`."""

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return nn.Sequential(OrderedDict(list(self.named_children())[index]))
        return super().__getitem__(index)
