"""Optimiser steps on a GPU as one CUDA graph, replayed: the host then names no kernels.

A step of these networks is some hundreds of kernels of a few microseconds each, which a host names more slowly than a
GPU runs them. The images of an epoch are warped before its first step, thousands at once; what is captured cuts a batch
out of them, goes forwards and backwards, and updates. The plain equivalent is `stn_bench.training.steps.train_steps`;
what it gains is in outputs/reference/benchmark_gpu.json.
"""

import logging
from collections.abc import Iterator

import torch
from torch import Tensor

from stn_bench.tasks import Classification
from stn_bench.training.recipe import Recipe
from stn_bench.training.state import Training
from stn_bench.training.steps import Step, take_step

WARM_UP = 3
"""Steps that are taken before one is captured: they make what is made once, the optimiser's state say."""

log = logging.getLogger(__name__)


class CapturedSteps:
    """The steps of a training, on a GPU.

    What a network does on the host, between its kernels, is done while a step is captured and never again. One that
    waits for its kernels (a `.item()`) cannot be captured: this is warned of, and its steps are taken one by one.
    """

    def __init__(self, training: Training, task: Classification, recipe: Recipe) -> None:
        self._training, self._task, self._recipe = training, task, recipe
        device = training.device
        per_epoch, groups = training.per_epoch, training.optimiser.param_groups
        self._offsets = torch.arange(training.batch_size, device=device)
        self._done = torch.zeros(1, dtype=torch.int64, device=device)  # steps of this epoch
        self._losses = torch.zeros(per_epoch, device=device)
        self._errors = torch.zeros(per_epoch, dtype=torch.int64, device=device)
        self._rates = torch.zeros(per_epoch + 1, len(groups), device=device)  # the learning rates of an epoch's steps
        self._images = self._labels = torch.empty(0, device=device)
        self._graph: torch.cuda.CUDAGraph | None = None
        self._warm_up = WARM_UP

    def epoch(self, images: Tensor, labels: Tensor, first: int, count: int) -> Iterator[Step]:
        """At most `count` steps on the images (n, C, H, W) and labels (n,) of an epoch, from the one numbered `first`.

        What is yielded holds until the next epoch.
        """
        self.start(images, labels, first)
        schedule = self._training.schedule
        for step in range(first, min(first + count, self._training.per_epoch)):
            self._advance()
            schedule.last_epoch += 1
            self._training.average()
            yield Step(self._losses[step], self._errors[step])

    def start(self, images: Tensor, labels: Tensor, first: int) -> None:
        """Have `take` begin with step `first` of an epoch that has these images and labels."""
        if len(self._labels):
            self._images.copy_(images)  # where the graph reads
            self._labels.copy_(labels)
        else:
            self._images, self._labels = images, labels
        schedule = self._training.schedule
        begun = schedule.last_epoch - first
        rates = [
            [base * factor(step) for base, factor in zip(schedule.base_lrs, schedule.lr_lambdas, strict=True)]
            for step in range(begun, begun + len(self._rates))
        ]
        self._rates.copy_(torch.tensor(rates))
        self._done.fill_(first)

    def take(self) -> None:
        """One step, on the device alone: which one it is, and how fast to learn, is read there."""
        index = self._done * len(self._offsets) + self._offsets
        step = take_step(
            self._training.model,
            self._images[index],
            self._labels[index],
            self._task,
            self._training.optimiser,
            self._recipe.precision,
            self._recipe.clip_norm,
        )
        self._losses.index_copy_(0, self._done, step.loss[None])
        self._errors.index_copy_(0, self._done, step.errors[None])
        self._done += 1
        rates = self._rates.index_select(0, self._done)[0]
        for group, rate in zip(self._training.optimiser.param_groups, rates, strict=True):
            group["lr"].copy_(rate)

    def _advance(self) -> None:
        if self._graph is not None:
            self._graph.replay()
        elif self._warm_up:  # on another stream, as capturing will be
            self._warm_up -= 1
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                self.take()
            torch.cuda.current_stream().wait_stream(stream)
            if not self._warm_up:
                self._capture()
        else:
            self.take()

    def _capture(self) -> None:
        graph = torch.cuda.CUDAGraph()
        try:
            # the outer context brings the stream back, which a capture that fails does not
            with torch.cuda.stream(torch.cuda.current_stream()), torch.cuda.graph(graph):
                self.take()
        except RuntimeError as error:
            cause = error.__context__ or error  # ending the capture fails, too, and says less
            reason = (str(cause) or type(cause).__name__).splitlines()[0]
            log.warning("a step cannot be captured (%s): steps are taken one by one, which is slower", reason)
            # that of an older torch counts as captured still and refuses to draw; a copy of its state does not
            generator = torch.cuda.default_generators[torch.cuda.current_device()]
            generator.graphsafe_set_state(generator.clone_state())
        else:
            self._graph = graph
