"""Networks: the paper's baselines, localisation networks, and a classifier behind a transformer."""

from stn_bench.models.budget import parameter_count, widest
from stn_bench.models.classifiers import CNN, FCN
from stn_bench.models.localisers import ConvolutionalLocaliser, FullyConnectedLocaliser
from stn_bench.models.transformed import TransformedClassifier

__all__ = [
    "CNN",
    "FCN",
    "ConvolutionalLocaliser",
    "FullyConnectedLocaliser",
    "TransformedClassifier",
    "parameter_count",
    "widest",
]
