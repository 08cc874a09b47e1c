"""What most people write, as the benchmark's baseline: a DataLoader, plain layers, float32, batches of 64.

Images are distorted one at a time by torchvision's transforms (v2) on PIL images, on which they are faster than on
tensors this small, in two workers.
"""

from collections.abc import Iterator

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import InterpolationMode, v2

from stn_bench.data.sources import load_mnist
from stn_bench.models.layers import AveragePool, ConvolutionStage

BATCH = 64
WORKERS = 2
BILINEAR = InterpolationMode.BILINEAR
DISTORTIONS = {
    "r": [v2.RandomRotation(90, BILINEAR)],
    "rts": [v2.Pad(7), v2.RandomAffine(45, (0.1, 0.1), (0.7, 1.2), interpolation=BILINEAR)],
    "p": [v2.RandomPerspective(0.5, p=1.0, interpolation=BILINEAR)],
    "e": [v2.ElasticTransform(interpolation=BILINEAR)],
}


class Digits(Dataset[tuple[Tensor, int]]):
    """MNIST as most code reads it: one PIL image at a time, distorted, made a tensor."""

    def __init__(self, distortion: str) -> None:
        self.digits = load_mnist()
        self.prepare = v2.Compose([*DISTORTIONS[distortion], v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])

    def __len__(self) -> int:
        return len(self.digits.train_images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.prepare(Image.fromarray(self.digits.train_images[index])), int(self.digits.train_labels[index])


def batches(distortion: str) -> Iterator[tuple[Tensor, Tensor]]:
    """Distorted digits (64, 1, H, W) and labels (64,), without end."""
    loader = DataLoader(Digits(distortion), BATCH, shuffle=True, num_workers=WORKERS, drop_last=True)
    while True:
        yield from loader


def network(model: nn.Module) -> nn.Module:
    """The same network with the library's layers in the place of ours: convolution, ReLU, pooling."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, ConvolutionStage):
                convolution = nn.Conv2d(child.in_channels, child.out_channels, child.kernel_size)  # type: ignore[arg-type]
                convolution.to(child.weight).load_state_dict(child.state_dict())
                layers: list[nn.Module] = [convolution, nn.ReLU()]
                if child.pool:
                    layers.append(nn.MaxPool2d(2, ceil_mode=child.ceil_mode))
                setattr(module, name, nn.Sequential(*layers))
            elif isinstance(child, AveragePool):
                setattr(module, name, nn.AvgPool2d(2))
    return model


def loop(model: nn.Module, distortion: str) -> Iterator[int]:
    """Train the plain network of `model`, yielding how many images each step saw."""
    model = network(model)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    for images, labels in batches(distortion):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(images), labels).backward()
        optimiser.step()
        yield len(images)
