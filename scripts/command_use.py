"""The command as a user types it: how long it takes, and how much memory."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Used:
    """What a command used."""

    seconds: float
    gibibytes: float


def run(*arguments: str, until: str | None = None) -> Used:
    """Run stn-train in an empty folder; `until`: the word with which the line begins after which it is stopped."""
    command = shutil.which("stn-train", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    assert command is not None, "stn-train is not installed: pip install -e ."
    with tempfile.TemporaryDirectory() as folder:
        output = () if "--help" in arguments else (f"output={folder}",)
        started = time.perf_counter()
        process = subprocess.Popen(
            [command, *arguments, *output], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        assert process.stderr is not None
        said, stopped = [], False
        for line in process.stderr:
            said.append(line)
            if until is not None and line.startswith(until):
                stopped = True
                break
        seconds = time.perf_counter() - started
        if stopped:
            process.kill()
        _, status, usage = os.wait4(process.pid, 0)
        if not stopped:
            seconds = time.perf_counter() - started
    if status and not stopped:
        raise RuntimeError(f"stn-train {' '.join(arguments)} failed:\n{''.join(said)}")
    unit = 1 if sys.platform == "darwin" else 2**10  # of ru_maxrss, in bytes
    return Used(seconds, usage.ru_maxrss * unit / 2**30)
