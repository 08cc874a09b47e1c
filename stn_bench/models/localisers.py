"""Localisation networks: image -> features for theta (Jaderberg et al. 2015; A.4 by re-implementations)."""

from collections.abc import Sequence

from torch import Tensor, nn

from stn_bench.models.budget import check_widths
from stn_bench.models.layers import AveragePool, ConvolutionStage, Layers


def initialise(localiser: nn.Module, initialisation: str) -> None:
    """Draw the weights of a localiser: "torch", as each layer does itself, or "he" (He et al. 2015: normal, no bias),
    under which features are about as large in magnitude as the image. Raises ValueError for other words.
    """
    if initialisation not in ("he", "torch"):
        raise ValueError(f"initialisation={initialisation!r} is not known: use he or torch")
    for layer in localiser.modules():
        if initialisation == "he" and isinstance(layer, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


class FullyConnectedLocaliser(Layers):
    """Fully connected layers with ReLUs: images (B, C, H, W) to features (B, `features`). The paper's: three of 32.

    `initialisation`: of the weights, see `initialise`; the paper does not say.
    Raises ValueError for a layer of less than one unit.
    """

    def __init__(
        self, image_shape: tuple[int, int, int], units: Sequence[int] = (32, 32, 32), initialisation: str = "torch"
    ) -> None:
        channels, height, width = image_shape
        layers: list[nn.Module] = [nn.Flatten()]
        inputs = channels * height * width
        for outputs in units:
            check_widths(units=outputs)
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
            inputs = outputs
        super().__init__(*layers)
        self.features = inputs
        initialise(self, initialisation)


class ConvolutionalLocaliser(nn.Module):
    """2x down-sampling - conv 5x5 - pool - conv 5x5 - fully connected: images (B, C, H, W) to (B, `features`).

    `filters` filters in each convolution, ReLUs after each layer. The paper's: 20 everywhere. `initialisation`: of the
    weights, see `initialise`; the paper does not say.
    Raises ValueError for images too small for it, and for `filters` or `features` below 1.
    """

    kernel_size = 5

    def __init__(
        self, image_shape: tuple[int, int, int], filters: int = 20, features: int = 20, initialisation: str = "torch"
    ) -> None:
        super().__init__()
        check_widths(filters=filters, features=features)
        channels, *size = image_shape
        shrink = self.kernel_size - 1
        height, width = ((side // 2 - shrink) // 2 - shrink for side in size)
        if min(height, width) < 1:
            raise ValueError(f"images of {image_shape[1:]} pixels are too small for this localiser: at least 28 x 28")
        self.features = features
        self.downsample = AveragePool()
        self.conv1 = ConvolutionStage(channels, filters, self.kernel_size, ceil_mode=False)
        self.conv2 = ConvolutionStage(filters, filters, self.kernel_size, pool=False)
        self.connect = nn.Linear(filters * height * width, features)
        initialise(self, initialisation)

    def forward(self, images: Tensor) -> Tensor:
        """Features (B, `features`)."""
        maps = self.conv2(self.conv1(self.downsample(images)))
        return self.connect(maps.flatten(1)).relu()
