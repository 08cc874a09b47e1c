"""The training loop, as a generator of steps."""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from stn_bench.tasks import Classification
from stn_bench.training.precision import autocast


class Step(NamedTuple):
    """What one step saw; 0-d tensors, still on the device: the caller decides when to wait for it."""

    loss: Tensor
    errors: Tensor


def take_step(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    task: Classification,
    optimiser: Optimizer,
    precision: str = "fp32",
    clip_norm: float | None = None,
) -> Step:
    """One optimiser step on images (B, C, H, W) and labels (B,)."""
    with autocast(images.device, precision):
        logits = model(images)
    loss = task.loss(logits, labels)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    if clip_norm is not None:
        torch.nn.utils.clip_grad_norm_(model.parameters(), clip_norm)
    optimiser.step()
    return Step(loss.detach(), task.errors(logits.detach(), labels))


def train_steps(
    model: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    task: Classification,
    optimiser: Optimizer,
    schedule: LRScheduler,
    precision: str = "fp32",
    clip_norm: float | None = None,
    after_step: Callable[[], None] = lambda: None,
) -> Iterator[Step]:
    """One optimiser step per batch of images and labels, yielding loss and errors after each."""
    for images, labels in batches:
        step = take_step(model, images, labels, task, optimiser, precision, clip_norm)
        schedule.step()
        after_step()
        yield step
