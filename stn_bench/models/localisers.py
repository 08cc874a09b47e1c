"""Localisation networks: image -> features from which a transformer regresses theta (Jaderberg et al. 2015, A.4)."""

from collections.abc import Sequence

from torch import Tensor, nn

from stn_bench.models.stage import ConvolutionStage


class FullyConnectedLocaliser(nn.Sequential):
    """Fully connected layers with ReLUs: images (B, C, H, W) to features (B, `features`). The paper's: three of 32."""

    def __init__(self, image_shape: tuple[int, int, int], units: Sequence[int] = (32, 32, 32)) -> None:
        channels, height, width = image_shape
        layers: list[nn.Module] = [nn.Flatten()]
        inputs = channels * height * width
        for outputs in units:
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
            inputs = outputs
        super().__init__(*layers)
        self.features = inputs


class ConvolutionalLocaliser(nn.Module):
    """2x down-sampling - conv 5x5 - pool - conv 5x5 - fully connected: images (B, C, H, W) to (B, `features`).

    `filters` filters in each convolution, ReLUs after each layer. The paper's: 20 everywhere.
    Raises ValueError for images too small for it.
    """

    kernel_size = 5

    def __init__(self, image_shape: tuple[int, int, int], filters: int = 20, features: int = 20) -> None:
        super().__init__()
        channels, *size = image_shape
        shrink = self.kernel_size - 1
        height, width = ((side // 2 - shrink) // 2 - shrink for side in size)
        if min(height, width) < 1:
            raise ValueError(f"images of {image_shape[1:]} pixels are too small for this localiser: at least 28 x 28")
        self.features = features
        self.downsample = nn.AvgPool2d(2)
        self.conv1 = ConvolutionStage(channels, filters, self.kernel_size, ceil_mode=False)
        self.conv2 = ConvolutionStage(filters, filters, self.kernel_size, pool=False)
        self.connect = nn.Linear(filters * height * width, features)

    def forward(self, images: Tensor) -> Tensor:
        """Features (B, `features`)."""
        maps = self.conv2(self.conv1(self.downsample(images)))
        return self.connect(maps.flatten(1)).relu()
