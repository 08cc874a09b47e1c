"""Killing a process within the save of a checkpoint: kill_runs.py's second part."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stn_bench import files
from stn_bench.training import checkpoint


def strike_in_save(number: int, names: Path) -> None:
    """Have this process kill itself ahead of the call so numbered in its third save; 0: only write the calls' names."""
    saves = calls = 0

    def strike(name: str) -> None:
        nonlocal calls
        calls += 1
        if number == 0:
            with open(names, "a") as file:
                file.write(f"{name}\n")
        elif calls == number:
            os.kill(os.getpid(), signal.SIGKILL)

    def watched(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def watch(*arguments: Any, **settings: Any) -> Any:
            strike(f"before {name}")
            return call(*arguments, **settings)

        return watch

    class WatchedFile:
        def __init__(self, file: Any) -> None:
            self.file = file
            self.flush, self.fileno = watched("flush", file.flush), file.fileno

        def write(self, content: bytes) -> None:
            strike("before write")
            self.file.write(content[: len(content) // 2])
            self.file.flush()
            strike("in the middle of write")
            self.file.write(content[len(content) // 2 :])

        def __enter__(self) -> "WatchedFile":
            return self

        def __exit__(self, *error: object) -> None:
            strike("before close")
            self.file.close()

    save, path_open = checkpoint.Checkpoints.save, Path.open

    def counted_save(*arguments: Any) -> Path:
        nonlocal saves
        saves += 1
        if saves != 3:
            return save(*arguments)
        files.os = WatchedOs()  # type: ignore[assignment]
        Path.open = lambda path, *mode: (strike("before open"), WatchedFile(path_open(path, *mode)))[1]  # type: ignore[assignment, method-assign, misc]
        Path.unlink, unlink = watched("unlink", Path.unlink), Path.unlink  # type: ignore[method-assign]
        try:
            return save(*arguments)
        finally:
            strike("after the save")
            files.os, Path.open, Path.unlink = os, path_open, unlink  # type: ignore[method-assign]

    class WatchedOs:
        """The module os, as far as a save goes."""

        open, fsync, close, replace = (
            staticmethod(watched(f"os.{name}", getattr(os, name))) for name in ("open", "fsync", "close", "replace")
        )

        def __getattr__(self, name: str) -> Any:
            return getattr(os, name)

    checkpoint.Checkpoints.save = counted_save  # type: ignore[method-assign, assignment]
