"""What a sweep does when it is told to stop: Ctrl-C, Ctrl-C again, and the signals that runs save at."""

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType

PASSED_ON = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGUSR1", "SIGUSR2") if hasattr(signal, name)
)  # not on Windows


class Stopping:
    """In its `with` block, the first Ctrl-C or signal to stop is noted in `asked`, and a second Ctrl-C raises.

    A terminal sends Ctrl-C to the jobs, too, and they stop by themselves; other signals, and a Ctrl-C where there is no
    terminal, come to this process alone, and `pass_on` is called to tell them. Raises KeyboardInterrupt at a second
    Ctrl-C.
    """

    def __init__(self, pass_on: Callable[[], None]) -> None:
        self.asked = False
        self.pass_on = pass_on
        self._before: dict[int, Callable[[int, FrameType | None], object] | int | None] = {}

    def __enter__(self) -> "Stopping":
        if threading.current_thread() is threading.main_thread():  # no other may set handlers
            for number in (signal.SIGINT, *PASSED_ON):
                before = signal.getsignal(number)
                if before is not None and before != signal.SIG_IGN:  # by C code; as under nohup: both are to go on so
                    handler = self._interrupt if number == signal.SIGINT else self._terminate
                    self._before[number] = signal.signal(number, handler)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        if not any(map(os.isatty, range(3))):
            self.pass_on()

    def _terminate(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        self.pass_on()
