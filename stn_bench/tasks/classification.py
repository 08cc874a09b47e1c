"""One label an image: cross-entropy to learn by, error rate to report (Jaderberg et al. 2015, section 4.1)."""

import torch
from torch import Tensor


class Classification:
    """Softmax cross-entropy, and how many labels are wrong.

    `label_smoothing` is the share of each target that is spread evenly over all classes.
    """

    def __init__(self, label_smoothing: float = 0.0) -> None:
        self.label_smoothing = label_smoothing

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The mean loss of logits (B, classes) for labels (B,): a 0-d tensor, float32."""
        return torch.nn.functional.cross_entropy(logits.float(), labels, label_smoothing=self.label_smoothing)

    def predictions(self, logits: Tensor) -> Tensor:
        """The most likely class of each image: (B,)."""
        return logits.argmax(dim=1)

    def errors(self, logits: Tensor, labels: Tensor) -> Tensor:
        """How many labels are wrong: a 0-d tensor."""
        return (self.predictions(logits) != labels).sum()
