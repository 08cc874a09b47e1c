"""What a trained network says of images that it was not trained on."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from stn_bench.geometry import measure
from stn_bench.spatial_transformer import SpatialTransformer
from stn_bench.tasks import Classification
from stn_bench.training.precision import autocast


class Warped(NamedTuple):
    """What one transformer did to a batch."""

    inputs: Tensor
    """(B, C, H, W)."""
    theta: Tensor
    """(B, P)."""
    points: Tensor
    """(B, H', W', 2)."""
    outputs: Tensor
    """(B, C, H', W')."""


class Evaluation(NamedTuple):
    """Predictions and warps of all images evaluated, on the CPU."""

    errors: int
    images: int
    predictions: Tensor
    """(n,)."""
    labels: Tensor
    """(n,), what the predictions should have been."""
    theta: dict[str, Tensor]
    """By transformer: (n, P), as predicted."""
    warp: dict[str, float]
    """By transformer and statistic (`measure.summary`), the mean over all batches."""

    @property
    def error(self) -> float:
        """The error rate, a fraction."""
        return self.errors / self.images


@torch.no_grad()
def evaluate(
    model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], task: Classification, precision: str = "fp32"
) -> Evaluation:
    """Predict every batch of images and labels. Raises ValueError where there is none."""
    wrong: list[Tensor] = []
    predictions: list[Tensor] = []
    truth: list[Tensor] = []
    theta: dict[str, list[Tensor]] = {}
    summaries: dict[str, list[float]] = {}
    with evaluating(model):
        for images, labels in batches:
            with watch_transformers(model) as warped, autocast(images.device, precision):
                logits = model(images)
            wrong.append(task.errors(logits, labels))
            predictions.append(task.predictions(logits))
            truth.append(labels)
            for name, seen in warped.items():
                theta.setdefault(name, []).append(seen.theta)
                for statistic, value in measure.summary(seen.points).items():
                    summaries.setdefault(f"{name}/{statistic}", []).append(value)
    if not predictions:
        raise ValueError("there are no images to evaluate: hold out or load at least one")
    return Evaluation(
        errors=int(torch.stack(wrong).sum()),
        images=sum(map(len, predictions)),
        predictions=torch.cat(predictions).cpu(),
        labels=torch.cat(truth).cpu(),
        theta={name: torch.cat(parts).cpu() for name, parts in theta.items()},
        warp={name: sum(values) / len(values) for name, values in summaries.items()},
    )


@torch.no_grad()
def look(model: nn.Module, images: Tensor, precision: str) -> dict[str, Warped]:
    """What each transformer of a network does with images (B, C, H, W), by name."""
    with evaluating(model), watch_transformers(model) as seen, autocast(images.device, precision):
        model(images)
    return dict(seen)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Have a network in evaluation mode while the context is open: without dropout, and nothing learned of a batch."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        model.train(modes[model])  # a module of one's own may do more in it
        for module, training in modes.items():  # some may be frozen
            module.training = training


@contextmanager
def watch_transformers(model: nn.Module) -> Iterator[dict[str, Warped]]:
    """Collect, by name, what each spatial transformer of a network does while the context is open."""
    seen: dict[str, Warped] = {}
    hooks = []
    for name, module in model.named_modules():
        if isinstance(module, SpatialTransformer):
            hooks += _watch(module, name or module.name, seen)
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def _watch(
    transformer: SpatialTransformer, name: str, seen: dict[str, Warped]
) -> list[torch.utils.hooks.RemovableHandle]:
    thetas: list[Tensor] = []

    def after_regression(module: nn.Module, inputs: tuple[Tensor], theta: Tensor) -> None:
        thetas.append(theta.detach())

    def after_transformer(module: nn.Module, inputs: tuple[Tensor], named: dict[str, Tensor], outputs: Tensor) -> None:
        images, theta = (inputs[0] if inputs else named["images"]).detach(), thetas.pop()
        seen[name] = Warped(
            images, theta, transformer.points_of(theta, (images.shape[-2], images.shape[-1])), outputs.detach()
        )

    return [
        transformer.regression.register_forward_hook(after_regression),
        transformer.register_forward_hook(after_transformer, with_kwargs=True),
    ]
