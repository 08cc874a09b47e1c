"""The near side of one job: its process, how far it is, and how it ended."""

import multiprocessing
import os
import signal
from collections.abc import Mapping
from multiprocessing.connection import wait
from pathlib import Path

import cloudpickle
from hydra.core.utils import JobReturn

from hydra_plugins.stn_local_launcher import job
from stn_bench.results.status import Status, read_status

# a server that is small and has one thread forks the processes: quicker than a fresh Python each, and safe, since
# torch and its threads come into being after the fork, under the environment of the one job
START = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
LEAVE = 30.0
"""Seconds that a process may take to leave once it has answered."""


class JobProcess:
    """Starts a job; `task` is pickled as `job.run` wants it, `folder` the run's, `output` a file for its words."""

    def __init__(self, task: bytes, environment: Mapping[str, str], folder: Path, output: Path) -> None:
        context = multiprocessing.get_context(START)
        context.set_forkserver_preload([job.__name__])
        self.folder, self.output = folder, output
        self.answer, sender = context.Pipe(duplex=False)
        arguments = (task, dict(environment), os.getcwd(), str(output), sender)
        self.process = context.Process(target=job.run, args=arguments)
        self.process.start()
        sender.close()  # so that the end of the process is the end of the pipe

    def status(self) -> Status | None:
        """How far this process is with its run; None as long as it has not said so itself."""
        status = read_status(self.folder)
        return status if status is not None and status.pid == self.process.pid else None

    def ended(self) -> bool:
        """Whether the job has returned, or its process died."""
        return bool(wait([self.answer, self.process.sentinel], timeout=0))

    def result(self) -> JobReturn:
        """What the job returned; with a JobFailed for a process that died, a KeyboardInterrupt for one told to stop.

        To be called once, when the job has ended.
        """
        try:
            result = cloudpickle.loads(self.answer.recv_bytes()) if self.answer.poll() else None
        except (EOFError, OSError):  # it died before, or while, it answered
            result = None
        self.process.join(LEAVE)
        self.kill()
        self.answer.close()
        if result is not None:
            return result
        code = self.process.exitcode or 0
        stopped = code in (-signal.SIGINT, -signal.SIGTERM)
        return job.failed(KeyboardInterrupt(death(code)) if stopped else job.JobFailed(death(code)))

    def last_words(self) -> str:
        """What the process said before it had a file of its own for it, where that explains an end unlooked-for."""
        said = self.output.read_text(encoding="utf-8", errors="replace") if self.output.exists() else ""
        return said if "Traceback (most recent call last)" in said or self.process.exitcode else ""

    def terminate(self) -> None:
        """Ask the process to stop."""
        self.process.terminate()

    def kill(self, after: float = 0.0) -> None:
        """Have the process gone, by force if it has not left within `after` seconds."""
        self.process.join(after)
        if self.process.is_alive():
            self.process.kill()
        self.process.join()


def death(code: int) -> str:
    """An exit code in words, negative for a signal's number."""
    if code >= 0:
        return f"its process exited with code {code} before the run was done"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"killed by {name}" + (" (often: out of memory)" if name == "SIGKILL" else "")
