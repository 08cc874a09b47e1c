"""One attempt at a run, from taking its folder to giving it back: what `status.json` says of it, however it ends."""

import datetime
import os
import socket
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from stn_bench.results.status import State, Status, read_status, write_status
from stn_bench.training.interruption import Interrupted


class Attempt:
    """Writes the status of a run in a folder that this process owns; use it in a `with` statement.

    It begins with what the last attempt said, until `expect` and `progress` know better.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        before = read_status(folder)
        self.step, self.steps, self.error = (before.step, before.steps, before.error) if before else (0, 0, None)
        self._started_at = _now()

    def __enter__(self) -> "Attempt":
        self._write("running")
        return self

    def expect(self, step: int, steps: int) -> None:
        """Say of how many steps how many are done."""
        self.step, self.steps = step, steps
        if step == 0:
            self.error = None
        self._write("running")

    def progress(self, step: int, error: float | None) -> None:
        """Say how far the run is, and its training error where it is known."""
        self.step = step
        if error is not None:
            self.error = error
        self._write("running")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            self._write("done")
            return
        with suppress(OSError):  # a full disk: what went wrong is still said, by who catches it
            if isinstance(error, Interrupted):
                self._write("interrupted", error.name)
            elif isinstance(error, (KeyboardInterrupt, SystemExit)):  # the latter: somebody's handler, submitit's say
                self._write("interrupted", "Ctrl-C" if isinstance(error, KeyboardInterrupt) else "a signal")
            else:
                self._write("failed", str(error) or type(error).__name__)

    def _write(self, state: State, why: str | None = None) -> None:
        status = Status(
            state=state,
            why=why,
            step=self.step,
            steps=self.steps,
            error=self.error,
            host=socket.gethostname(),
            pid=os.getpid(),
            started_at=self._started_at,
            updated_at=_now(),
        )
        write_status(self.folder, status)


def _now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
