"""Two sides measured in turns (A B A B A B), each in a process of its own that is kept between its turns."""

import multiprocessing
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection

import measures
import plain

TURNS = 3
AHEAD = 2 * plain.WORKERS
"""Batches that a DataLoader's workers prepare ahead."""


class Contestant:
    """A process that measures by name, when it is its turn; used in a `with` statement."""

    def __init__(self, make: str, *arguments: str) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, child = context.Pipe()
        self.process = context.Process(target=_serve, args=(child, make, arguments))

    def __enter__(self) -> "Contestant":
        self.process.start()
        return self

    def __exit__(self, *error: object) -> None:
        with suppress(BrokenPipeError):  # it may have failed
            self.pipe.send(None)
        self.process.join(10)
        self.process.kill()

    def measure(self, name: str, seconds: float) -> float:
        """How many of its units a second `name` does. Raises RuntimeError where the process fails."""
        self.pipe.send((name, seconds))
        if not self.pipe.poll(300):
            raise RuntimeError(f"{name} did not answer within 300 s")
        try:
            return float(self.pipe.recv())
        except EOFError:
            raise RuntimeError(f"{name} failed, see above") from None


def _serve(pipe: Connection, make: str, arguments: Sequence[str]) -> None:
    multiprocessing.set_start_method(None, force=True)  # a loader's workers start as in anybody's process, at once
    made: Mapping[str, Iterator[float]] = getattr(measures, make)(*arguments)
    fresh = set(made)
    while (asked := pipe.recv()) is not None:
        name, seconds = asked
        if name in fresh:
            for _ in range(3):  # caches, lazy initialisation
                next(made[name])
            fresh.remove(name)
        pipe.send(speed(made[name], seconds))


def speed(steps: Iterator[float], seconds: float) -> float:
    """Units a second.

    What a DataLoader's workers prepared ahead since the last turn is not counted, and the other side's turn does not
    begin before they are ahead again.
    """
    workers = bool(multiprocessing.active_children())
    for _ in range(AHEAD if workers else 1):  # or back into the caches
        units = next(steps)
    ahead, done, started = AHEAD * units, 0, time.perf_counter()
    while (passed := time.perf_counter() - started) < seconds:
        done += next(steps)
    if workers:
        time.sleep(ahead * passed / done)
    return done / passed


def in_turns(sides: Mapping[str, tuple[Contestant, str]], seconds: float) -> dict[str, float]:
    """The median speed of each side, measured in turns."""
    seen: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(TURNS):
        for side, (contestant, name) in sides.items():
            seen[side].append(contestant.measure(name, seconds))
    return {side: statistics.median(speeds) for side, speeds in seen.items()}
