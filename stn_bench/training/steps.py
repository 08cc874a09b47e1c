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
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for images, labels in batches:
        with autocast(images.device, precision):
            logits = model(images)
        loss = task.loss(logits, labels)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        if clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(parameters, clip_norm)
        optimiser.step()
        schedule.step()
        after_step()
        yield Step(loss.detach(), task.errors(logits.detach(), labels))
