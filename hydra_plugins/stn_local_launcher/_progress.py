"""How far a sweep is: one line that is kept up to date on a terminal, and a line per finished job anywhere."""

import sys
import time
from collections.abc import Mapping, Sequence
from types import TracebackType

from tqdm import tqdm

from stn_bench.results.status import Status
from stn_bench.stderr import say


class Progress:
    """Counts the jobs of a sweep on standard error; use it in a `with` statement."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.finished = 0
        self.worked = 0.0  # runs' worth of work that finished jobs did in this sweep, which says what the pace is
        self.before: dict[str, float] = {}  # what of a run was done before it was first seen: none, or it goes on
        self.told = False  # that it is stopping
        self.started = time.monotonic()
        self.bar = tqdm(
            total=total,
            bar_format="{percentage:3.0f}%|{bar:20}| {desc}",
            disable=not sys.stderr.isatty(),
            dynamic_ncols=True,
        )

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.bar.close()

    def end(self, name: str, words: str, worked: bool) -> None:
        """A job is at its end; `worked` tells whether it took the time that jobs take."""
        self.finished += 1
        before = self.before.pop(name, 0.0)
        self.worked += 1 - before if worked else 0
        say(f"[{self.finished}/{self.total}] {name}  {words}")

    def show(self, running: Sequence[tuple[str, Status | None]], stopping: bool = False) -> None:
        """Bring the line up to date with the jobs that run now, each with its status if it has one.

        `stopping`: they are being waited for, and no more will be started.
        """
        parts = {name: status.step / status.steps for name, status in running if status is not None and status.steps}
        # the least, as a run that has lost steps shows those of its last attempt before it begins
        self.before |= {name: min(part, self.before.get(name, part)) for name, part in parts.items()}
        if self.bar.disable:
            if stopping and running and not self.told:
                say(f"stopping: waiting for {len(running)} to save and end")
                self.told = True
            return
        self.bar.n = min(self.finished + sum(parts.values()), self.total)
        waiting = f"stopping, waiting for {len(running)} to end"
        self.bar.set_description_str(waiting if stopping else self.line(running, parts))

    def line(self, running: Sequence[tuple[str, Status | None]], parts: Mapping[str, float]) -> str:
        """Runs done, to go, time left, and those running, with what part of each is done, by name."""
        to_go = self.total - self.finished - len(running)
        words = [f"{self.finished}/{self.total} runs", f"{to_go} to go"]
        worked = self.worked + sum(part - self.before.get(name, 0.0) for name, part in parts.items())
        left = time_left(self.total - self.finished - sum(parts.values()), worked, self._seconds())
        words += [] if left is None else [f"{duration(left)} left"]
        return ", ".join(words) + "".join(f" | {name}{_so_far(status)}" for name, status in running)

    def _seconds(self) -> float:
        return time.monotonic() - self.started


def time_left(to_do: float, worked: float, seconds: float) -> float | None:
    """Seconds until `to_do` runs' worth of work is done, by the pace so far, `worked` in `seconds`; None before there
    is one.
    """
    return None if worked <= 0 else seconds / worked * max(to_do, 0)


def duration(seconds: float) -> str:
    """A time in words, as exact as a guess should be."""
    minutes = round(seconds / 60)
    if minutes < 2:
        return f"{round(seconds)} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def _so_far(status: Status | None) -> str:
    if status is None:
        return ""
    error = "" if status.error is None else f" {100 * status.error:.1f} %"
    return f" {status.step}/{status.steps}{error}"
