"""A small network, few digits, a recipe of few steps, and a logbook that only remembers."""

from functools import partial

import pytest
import torch

from stn_bench.data.distorted import DistortedDigits
from stn_bench.distortions import Rotation
from stn_bench.models import FCN, FullyConnectedLocaliser, TransformedClassifier
from stn_bench.training import Recipe, StepDecay
from stn_bench.transforms import Affine

SHAPE = (1, 28, 28)


@pytest.fixture
def make_data(few_digits):
    """Ten batches of 64 an epoch, and 50 digits to evaluate on."""

    def make(kind=DistortedDigits, **settings):
        return kind(few_digits, Rotation(30), **settings)

    return make


@pytest.fixture
def make_model():
    """A small FCN, behind an affine transformer unless `stn=False`."""

    def make(stn=True, seed=1):
        torch.manual_seed(seed)
        if not stn:
            return FCN(SHAPE, 10, units=16)
        return TransformedClassifier(
            SHAPE, 10, partial(FullyConnectedLocaliser, units=[8]), Affine(), partial(FCN, units=16)
        )

    return make


@pytest.fixture
def make_recipe():
    """SGD with a constant learning rate, five steps of 64 images, unless told otherwise."""

    def make(lr=0.1, optimiser=torch.optim.SGD, **settings):
        settings = {"steps": None if "epochs" in settings else 5, "batch_size": 64, **settings}
        return Recipe(partial(optimiser, lr=lr), settings.pop("schedule", StepDecay(1000, 0.1)), **settings)

    return make


class Notes:
    """What a run tells its logbook, remembered."""

    def __init__(self):
        self.count, self.numbers, self.lines, self.warps, self.pictures = 0, {}, [], [], []

    def steps(self, count=1):
        self.count += count

    def scalars(self, step, values):
        for name, value in values.items():
            self.numbers.setdefault(name, {})[step] = value

    def line(self, text):
        self.lines.append(text)

    def warped(self, step, name, seen, statistics):
        self.warps.append((step, name))

    def picture(self, step, name, seen):
        self.pictures.append((step, name))


@pytest.fixture
def notes():
    return Notes()
