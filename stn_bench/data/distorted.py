"""Distorted digits, resident on the device and warped batch by batch (Jaderberg et al. 2015, section 4.1)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from stn_bench.data.mnist import MNIST
from stn_bench.data.sources import load_mnist
from stn_bench.data.streams import generator
from stn_bench.distortions import Distortion

EVALUATION_SEED = 2015
"""Draws the distortions of the test digits and of the held-out ones, once: all runs are compared on the same images."""

FROZEN_EPOCH = 0
"""The epoch whose distortions serve for all epochs where they are not drawn afresh."""


WARPED_TOGETHER = 4096
"""Of `training_epoch`: images warped at once, enough to fill a GPU and few enough for its memory."""


class Epoch(NamedTuple):
    """What one pass over the training digits looks like, drawn at once."""

    order: Tensor
    """The digits in the order of their visits: (n,)."""
    parameters: Tensor
    """The distortion of each digit, by digit: (n, P)."""


class DistortedDigits:
    """Training digits under distortions drawn from (seed, epoch), and digits to evaluate on, distorted once.

    Args:
        digits: images and labels, as `load_mnist` gives them.
        distortion: how the images are warped.
        fresh: whether each epoch draws new distortions; otherwise each digit keeps one.
        validation: how many of the last training digits to hold out and evaluate on, instead of the test digits.
        undone: whether each image is read back at the true inverse of its distortion, at the digits' own size, as by a
            transformer that knows what was drawn (an oracle). The draws do not depend on it.
    Raises ValueError where `validation` leaves nothing to train on, and for digits of another size than is distorted.
    """

    classes = 10

    def __init__(
        self, digits: MNIST, distortion: Distortion, fresh: bool = True, validation: int = 0, undone: bool = False
    ) -> None:
        available = len(digits.train_images)
        if not 0 <= validation < available:
            raise ValueError(f"validation={validation} of {available} training digits: hold out 0 to {available - 1}")
        if digits.train_images.shape[1:] != distortion.input_size:
            raise ValueError(
                f"the distortion takes {distortion.input_size} pixels, the digits have {digits.train_images.shape[1:]}"
            )
        self.distortion = distortion
        self.fresh = fresh
        self.undone = undone
        self.sha256 = digits.sha256
        self.image_shape = (1, *(distortion.input_size if undone else distortion.output_size))
        self.train_count = available - validation
        self.evaluated_on: Literal["test", "validation"] = "validation" if validation else "test"
        images, labels = torch.from_numpy(digits.train_images), torch.from_numpy(digits.train_labels).long()
        self._train = images[: self.train_count], labels[: self.train_count]
        if validation:
            self._evaluation = images[self.train_count :], labels[self.train_count :]
        else:
            self._evaluation = torch.from_numpy(digits.test_images), torch.from_numpy(digits.test_labels).long()
        self.evaluation_parameters = distortion.draw(
            len(self._evaluation[1]), generator(EVALUATION_SEED, 0, self.evaluated_on)
        )

    def to(self, device: torch.device | str) -> "DistortedDigits":
        """Move the digits to a device, where they are warped from then on. Returns self."""
        self._train = self._train[0].to(device), self._train[1].to(device)
        self._evaluation = self._evaluation[0].to(device), self._evaluation[1].to(device)
        self.evaluation_parameters = self.evaluation_parameters.to(device)
        return self

    def draw_epoch(self, seed: int, epoch: int) -> Epoch:
        """The order and the distortions of one epoch, on the CPU."""
        visits = generator(seed, epoch, "order")
        order = torch.randperm(self.train_count, generator=visits, device=visits.device)
        drawn_in = epoch if self.fresh else FROZEN_EPOCH
        return Epoch(order, self.distortion.draw(self.train_count, generator(seed, drawn_in, "distortion")))

    def training_batches(
        self, seed: int, epoch: int, batch_size: int, first: int = 0
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of images (B, 1, H, W) in [0, 1] and labels (B,) of one epoch, from the one numbered `first` on.

        A last, smaller one is left out. The batches before `first` cost nothing: they are not warped.
        """
        yield from self._visits(
            seed, epoch, batch_size, first * batch_size, self.train_count // batch_size * batch_size
        )

    def training_epoch(self, seed: int, epoch: int) -> tuple[Tensor, Tensor]:
        """All images (n, 1, H, W) and labels (n,) of one epoch at once, in the order of `training_batches`."""
        visits = self._visits(seed, epoch, WARPED_TOGETHER, 0, self.train_count)
        images, labels = (torch.cat(parts) for parts in zip(*visits, strict=True))
        return images, labels

    def evaluation_batches(self, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of images (B, 1, H, W) in [0, 1] and labels (B,) of all digits evaluated on, in their order."""
        images, labels = self._evaluation
        for start in range(0, len(labels), batch_size):
            part = slice(start, start + batch_size)
            yield self._distorted(images[part], self.evaluation_parameters[part]), labels[part]

    def examples(self, digits: int = 3, draws: int = 4) -> Tensor:
        """The first digits evaluated on, each under several distortions: (digits * draws, 1, H, W)."""
        images = self._evaluation[0][:digits].repeat_interleave(draws, dim=0)
        parameters = self.distortion.draw(len(images), generator(EVALUATION_SEED, 0, "examples"))
        return self._distorted(images, parameters.to(images.device))

    def _visits(self, seed: int, epoch: int, at_once: int, first: int, end: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Images and labels of the visits numbered `first` to `end` of an epoch, `at_once` or fewer at a time."""
        images, labels = self._train
        order, parameters = (drawn.to(images.device) for drawn in self.draw_epoch(seed, epoch))
        for start in range(first, end, at_once):
            index = order[start : min(start + at_once, end)]
            yield self._distorted(images[index], parameters[index]), labels[index]

    def _distorted(self, digits: Tensor, parameters: Tensor) -> Tensor:
        images = self.distortion(digits[:, None].float() / 255, parameters)
        return self.distortion.undo(images, parameters) if self.undone else images


def distorted_mnist(
    distortion: Distortion,
    fresh: bool = True,
    validation: int = 0,
    folder: str | Path | None = None,
    undone: bool = False,
) -> DistortedDigits:
    """MNIST under a distortion, see `DistortedDigits`; the files are in `folder`, or fetched as `load_mnist` says."""
    return DistortedDigits(load_mnist(Path(folder) if folder else None), distortion, fresh, validation, undone)
