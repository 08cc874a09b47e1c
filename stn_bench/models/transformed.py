"""A classifier behind a spatial transformer (Jaderberg et al. 2015, section 4.1)."""

from collections.abc import Callable

from torch import Tensor, nn

from stn_bench.geometry import Kernel, Padding
from stn_bench.models.budget import parameter_count
from stn_bench.models.classifiers import BUDGET
from stn_bench.models.layers import AveragePool
from stn_bench.spatial_transformer import SpatialTransformer
from stn_bench.transforms import Transform


class TransformedClassifier(nn.Module):
    """Transformer, average pooling on large canvases, classifier: images (B, C, H, W) to logits (B, classes).

    Args:
        image_shape: (C, H, W).
        classes: how many.
        localiser: makes the localisation network from an image shape; the network tells its `features`.
        transform: the family of warps.
        classifier: makes the classifier from an image shape, classes and a `parameters_budget`.
        pool_above: what the transformer makes is average-pooled 2x if a side of it is larger than this (the paper: RTS,
            42, and cluttered digits, 60).
        output_size: side in pixels of what the transformer makes of images larger than `pool_above`; None: the image's
            own size.
        parameters_budget: for localiser, regression and classifier together.
        kernel, padding: how the transformer reads its input.
    Raises ValueError where `localiser` or `classifier` cannot be called, where the budget is too small, or where
    `classifier` comes with another one.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        classes: int,
        localiser: Callable[..., nn.Module],
        transform: Transform,
        classifier: Callable[..., nn.Module],
        pool_above: int = 28,
        output_size: int | None = None,
        parameters_budget: int = BUDGET,
        kernel: Kernel = "bilinear",
        padding: Padding = "zeros",
    ) -> None:
        super().__init__()
        for name, made in (("localiser", localiser), ("classifier", classifier)):
            if not callable(made):
                raise ValueError(f"{name}={made!r} makes no network: name one in its _target_")
        network = localiser(image_shape=image_shape)
        features: int = network.features  # type: ignore[assignment]
        channels, height, width = image_shape
        if output_size is not None and max(height, width) > pool_above:
            height = width = output_size
        self.transformer = SpatialTransformer(
            network, features, transform, (height, width), kernel, padding, name="transformer"
        )
        self.pool: nn.Module = nn.Identity()
        if max(height, width) > pool_above:
            self.pool = AveragePool()
            height, width = height // 2, width // 2
        given = getattr(classifier, "keywords", {}).get("parameters_budget", parameters_budget)  # a partial's
        if given != parameters_budget:
            raise ValueError(
                f"classifier.parameters_budget={given} would count for nothing: the classifier gets what the "
                f"transformer leaves of parameters_budget={parameters_budget}; set that one"
            )
        left = parameters_budget - parameter_count(self.transformer)
        self.classifier = classifier(image_shape=(channels, height, width), classes=classes, parameters_budget=left)
        self.width = getattr(self.classifier, "width", None)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, classes). Raises stn_bench.spatial_transformer.NonFiniteTheta."""
        return self.classifier(self.pool(self.transformer(images)))
