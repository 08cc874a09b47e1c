"""Signals that ask a process to leave: noted when they come, answered where a run can be left without loss."""

import signal
import threading
from types import FrameType, TracebackType

NAMES = ("SIGINT", "SIGTERM", "SIGUSR1", "SIGUSR2")
"""Ctrl-C; what `kill` and time limits send; what Slurm is asked to send ahead of a time limit."""


class Interrupted(SystemExit):
    """Leaves the process with 128 + the signal's number, as a shell says of a command that a signal ended."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.name = signal.Signals(number).name


class Interruption:
    """While its context is open, a signal is noted in `requested` instead of answered; `answer` makes up for it.

    A second Ctrl-C is answered at once. Signals that the process ignores stay ignored. Outside of the main thread,
    where Python has no signals, nothing is installed. Leaving the context restores what was there before, and answers
    what was noted last.
    """

    def __init__(self) -> None:
        self.requested: int | None = None
        self._before: dict[int, signal.Handlers | signal._HANDLER] = {}

    def __enter__(self) -> "Interruption":
        if threading.current_thread() is threading.main_thread():
            for number in (getattr(signal, name) for name in NAMES if hasattr(signal, name)):
                before = signal.getsignal(number)
                if before is not None and before != signal.SIG_IGN:  # None: installed by C code, not ours to replace
                    self._before[number] = before
                    signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)
        self.answer()  # even where an error is on its way: a sweep must not go on after Ctrl-C

    def answer(self) -> None:
        """Do what the noted signal would have done; nothing where none came.

        Runs the handler that was there before. Where it returns, it has decided that the run goes on. Raises
        KeyboardInterrupt as Python does, and Interrupted where there was no handler.
        """
        number, self.requested = self.requested, None
        if number is None:
            return
        before = self._before[number]
        if callable(before):
            before(number, None)
        else:
            raise Interrupted(number)

    def _note(self, number: int, frame: FrameType | None) -> None:
        second = self.requested == signal.SIGINT == number
        self.requested = number
        if second:
            self.answer()
