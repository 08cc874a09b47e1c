"""The near side of one job: its process, how far it is, and how it ended."""

import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import cloudpickle
from hydra.core.utils import JobReturn

from hydra_plugins.stn_jobs._failure import JobFailed, failed
from hydra_plugins.stn_local_launcher._stopping import PASSED_ON
from stn_bench.results.status import Status, read_status

TOLD_TO_STOP = (signal.SIGINT, *PASSED_ON)
STOPPED = {-number for number in TOLD_TO_STOP} | {128 + number for number in TOLD_TO_STOP}
"""Exit codes of jobs that a signal asked to leave: those that did at once, and those that saved their state first."""
_JOB = "hydra_plugins.stn_local_launcher._job"


class JobProcess:
    """Starts the job of a task that `_job.pack` made; `folder` is the run's, `scratch` an empty one of its own.

    What the process says, down to the last words of a C library, is kept in `scratch`, unless the job itself finds a
    better place. It is in the process group of the sweep, so that a terminal's Ctrl-C reaches it.
    """

    def __init__(self, task: bytes, environment: Mapping[str, str], folder: Path, scratch: Path) -> None:
        self.folder, self.answer, self.words = folder, scratch / "answer", scratch / "words"
        scratch.mkdir()
        (scratch / "task").write_bytes(task)
        # by the path of this process: `-m` would have it begin with the working folder, and whatever modules lie there
        program = f"import sys; sys.path[:] = {sys.path!r}\nfrom {_JOB} import main; main(sys.argv[1:])"
        with self.words.open("wb") as words:
            self.process = subprocess.Popen(
                (sys.executable, "-c", program, scratch / "task", self.answer),
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=words,
                stderr=subprocess.STDOUT,
            )

    def status(self) -> Status | None:
        """How far this process is with its run; None as long as it has not said so itself."""
        status = read_status(self.folder)
        return status if status is not None and status.pid == self.process.pid else None

    def ended(self) -> bool:
        """Whether the process is gone."""
        return self.process.poll() is not None

    def result(self) -> JobReturn:
        """What the job returned; with a JobFailed for a process that died, a KeyboardInterrupt for one told to stop."""
        code = self.process.wait()
        if self.answer.exists():
            return cloudpickle.loads(self.answer.read_bytes())
        return failed(KeyboardInterrupt(death(code)) if code in STOPPED else JobFailed(death(code)))

    def last_words(self) -> str:
        """What a process said that died or met a bug before it had a file of its own for it."""
        answered = self.answer.exists()
        if not answered and self.process.returncode in STOPPED:
            return ""  # as it was told to, in the midst of an import perhaps
        said = self.words.read_text(encoding="utf-8", errors="replace").strip()
        return said if not answered or "Traceback (most recent call last)" in said else ""

    def terminate(self) -> None:
        """Ask the process to stop."""
        self.process.terminate()

    def kill(self, after: float) -> None:
        """Have the process gone, by force if it has not left within `after` seconds."""
        try:
            self.process.wait(after)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def death(code: int) -> str:
    """An exit code in words, negative for a signal's number."""
    if code in STOPPED and code > 0:
        return f"stopped by {signal.Signals(code - 128).name}, its state saved"
    if code >= 0:
        return f"its process exited with code {code} before the run was done"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"killed by {name}" + (" (often: out of memory)" if name == "SIGKILL" else "")
