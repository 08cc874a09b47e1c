"""When the state of a training is saved: every so often, when a signal asks to leave, and ahead of the evaluation."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar

from stn_bench.errors import UserError
from stn_bench.training.checkpoint import Checkpoints
from stn_bench.training.divergence import check_finite
from stn_bench.training.interruption import Interruption
from stn_bench.training.logbook import Logbook
from stn_bench.training.state import Training

Item = TypeVar("Item")


class IntervalError(UserError, ValueError):
    """An interval between checkpoints that makes no sense."""


@dataclass(frozen=True)
class Intervals:
    """How often to save; None: not by this count. Raises IntervalError for what is not above 0."""

    every_minutes: float | None = None
    every_steps: int | None = None

    def __post_init__(self) -> None:
        for name in ("every_minutes", "every_steps"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise IntervalError(f"checkpoint.{name}={value} is not above 0: give null for never")


class Keeper:
    """Saves a training, tells how far it is, and hands a signal on once nothing can be lost by it.

    Args:
        checkpoints: where to save; None: nowhere, and no signal is waited for.
        intervals: how often.
        interruption: the signals noted.
        report: told after each save and each epoch: steps done, and the training error so far where it is known.
        about: what else is to be known of the training when it goes on, saved with it.
    """

    def __init__(
        self,
        checkpoints: Checkpoints | None = None,
        intervals: Intervals | None = None,
        interruption: Interruption | None = None,
        report: Callable[[int, float | None], None] = lambda step, error: None,
        about: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        self.checkpoints = checkpoints
        self.intervals = intervals or Intervals()
        self.interruption = interruption or Interruption()
        self.report = report
        self.about = dict(about)
        self._saved_at = time.monotonic()

    def after_step(self, training: Training, logbook: Logbook) -> None:
        """Save if it is time or a signal has come, which is then answered. Raises what `save` and the answer raise."""
        if self._is_time(training.step) or self.interruption.requested is not None:
            self.save(training, logbook)
            self.interruption.answer()

    def save(self, training: Training, logbook: Logbook) -> None:
        """Save now, outside of the training's seconds. Raises Diverged rather than keep what is; CheckpointError."""
        if self.checkpoints is None:
            return
        check_finite(training)  # waits for the device: its seconds are the training's
        error = training.means()[1] if training.seen else None
        with training.stopwatch.paused():
            state = {"training": training.state_dict(), "logbook": logbook.position(), "step": training.step}
            self.checkpoints.save(training.step, {**self.about, **state})
            self.report(training.step, error)
        self._saved_at = time.monotonic()

    def leavable(self, items: Iterable[Item]) -> Iterator[Item]:
        """The items, with signals answered between them; for what changes no state that was not saved."""
        for item in items:
            self.interruption.answer()
            yield item

    def _is_time(self, step: int) -> bool:
        minutes, steps = self.intervals.every_minutes, self.intervals.every_steps
        if steps is not None and step % steps == 0:
            return True
        return minutes is not None and time.monotonic() - self._saved_at >= 60 * minutes
