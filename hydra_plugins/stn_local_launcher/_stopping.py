"""What a sweep does when it is told to stop: Ctrl-C, Ctrl-C again, and SIGTERM."""

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType


class Stopping:
    """In its `with` block, the first Ctrl-C or SIGTERM is noted in `asked`, and a second Ctrl-C raises.

    A terminal sends Ctrl-C to the jobs, too, and they stop by themselves; SIGTERM comes to this process alone, and
    `pass_on` is called to tell them. Raises KeyboardInterrupt at a second Ctrl-C.
    """

    def __init__(self, pass_on: Callable[[], None]) -> None:
        self.asked = False
        self.pass_on = pass_on
        self._before: dict[int, Callable[[int, FrameType | None], object] | int | None] = {}

    def __enter__(self) -> "Stopping":
        if threading.current_thread() is threading.main_thread():  # no other may set handlers
            for number, handler in ((signal.SIGINT, self._interrupt), (signal.SIGTERM, self._terminate)):
                if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup, which is to go on being so
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

    def _terminate(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        self.pass_on()
