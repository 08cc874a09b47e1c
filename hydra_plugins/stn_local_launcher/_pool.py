"""Jobs that take turns in slots, each in its process: who starts when, and what becomes of each."""

import time
from collections import deque
from collections.abc import Callable, Sequence

from hydra.core.utils import JobReturn, JobStatus

from hydra_plugins.stn_jobs._failure import JobFailed, failed
from hydra_plugins.stn_local_launcher._process import JobProcess
from hydra_plugins.stn_local_launcher._progress import Progress
from hydra_plugins.stn_local_launcher._slots import Slot
from hydra_plugins.stn_local_launcher._stopping import Stopping
from stn_bench.stderr import say

SHOW, LOOK = 0.5, 0.05
"""Seconds after which the progress is shown again, and after which the processes are looked at again."""
GRACE = 2.0
"""Seconds that jobs have to leave before they are killed."""
WITHOUT_WORK = ("skipped", "elsewhere")
"""What the words of a job begin with that had nothing to do."""


def run_all(names: Sequence[str], start: Callable[[int, Slot], JobProcess], slots: Sequence[Slot]) -> list[JobReturn]:
    """Run a job for each name, by `start(index, slot)`, as many at once as there are slots; returns in their order.

    After a Ctrl-C or a signal to stop no more jobs are started, and those that run are waited for. One that failed
    returns a JobFailed, one that was interrupted or not started a KeyboardInterrupt.
    Raises KeyboardInterrupt at a second Ctrl-C, which ends those that run.
    """
    waiting, free = deque(range(len(names))), deque(slots)
    running: dict[int, tuple[JobProcess, Slot]] = {}
    results: dict[int, JobReturn] = {}

    def terminate() -> None:
        for process, _ in running.values():
            process.terminate()

    with Progress(len(names)) as progress, Stopping(terminate) as stopping:
        try:
            while running or (waiting and not stopping.asked):
                while waiting and free and not stopping.asked:
                    index, slot = waiting.popleft(), free.popleft()
                    try:
                        running[index] = start(index, slot), slot
                    except Exception as error:  # in this job's config
                        free.append(slot)
                        results[index] = failed(JobFailed(str(error)))
                        progress.end(names[index], *_words(results[index]))
                    if stopping.asked and index in running:  # while it was being started: it has not heard of it
                        running[index][0].terminate()
                for index in _ended(running) if running else ():
                    process, slot = running.pop(index)
                    free.append(slot)
                    results[index] = process.result()
                    if said := process.last_words():
                        say(said)
                    progress.end(names[index], *_words(results[index]))
                statuses = [(names[index], process.status()) for index, (process, _) in running.items()]
                progress.show(statuses, stopping.asked)
        finally:
            terminate()
            deadline = time.monotonic() + GRACE
            for process, _ in running.values():
                process.kill(max(0.0, deadline - time.monotonic()))
    return [results.get(index) or failed(KeyboardInterrupt("not started")) for index in range(len(names))]


def _ended(running: dict[int, tuple[JobProcess, Slot]]) -> list[int]:
    """The jobs that ended; waits a moment for one to do so."""
    until = time.monotonic() + SHOW
    while not (ended := [index for index, (process, _) in running.items() if process.ended()]):
        if time.monotonic() > until:
            break
        time.sleep(LOOK)
    return ended


def _words(result: JobReturn) -> tuple[str, bool]:
    """How a job ended, in words, and whether it did a run's worth of work: one that failed may have at its start."""
    if result.status == JobStatus.COMPLETED:
        words = str(result.return_value)
        return words, not words.startswith(WITHOUT_WORK)
    error = result._return_value
    return f"{'interrupted' if isinstance(error, KeyboardInterrupt) else 'FAILED'}  {error}", False
