"""Spatial transformer networks: warps, transformers, distorted digits, training and tables.

The names below load when first used, so that commands which need no torch start at once.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stn_bench.geometry import pixel_grid, sample
    from stn_bench.models import CNN, FCN, ConvolutionalLocaliser, FullyConnectedLocaliser, TransformedClassifier
    from stn_bench.spatial_transformer import NonFiniteTheta, SpatialTransformer
    from stn_bench.trained import load_run
    from stn_bench.transforms import (
        Affine,
        Attention,
        Projective,
        Rotation,
        Similarity,
        ThinPlateSpline,
        Transform,
        Translation,
    )

_HOMES = {
    "stn_bench.geometry": ("pixel_grid", "sample"),
    "stn_bench.models": (
        "CNN",
        "FCN",
        "ConvolutionalLocaliser",
        "FullyConnectedLocaliser",
        "TransformedClassifier",
    ),
    "stn_bench.spatial_transformer": ("NonFiniteTheta", "SpatialTransformer"),
    "stn_bench.trained": ("load_run",),
    "stn_bench.transforms": (
        "Affine",
        "Attention",
        "Projective",
        "Rotation",
        "Similarity",
        "ThinPlateSpline",
        "Transform",
        "Translation",
    ),
}

__all__ = [
    "CNN",
    "FCN",
    "Affine",
    "Attention",
    "ConvolutionalLocaliser",
    "FullyConnectedLocaliser",
    "NonFiniteTheta",
    "Projective",
    "Rotation",
    "Similarity",
    "SpatialTransformer",
    "ThinPlateSpline",
    "Transform",
    "TransformedClassifier",
    "Translation",
    "load_run",
    "pixel_grid",
    "sample",
]


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(home), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
