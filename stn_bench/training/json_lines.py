"""`metrics.jsonl`: the numbers of a run as JSON lines, one object a step, for programs that read no TensorBoard."""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

METRICS = "metrics.jsonl"


class JsonLines:
    """Appends numbers by step; what comes for the last step again joins its line.

    Args:
        path: of the file; it is made if it is not there.
        position: what `position` gave, to go back to; None: start an empty file.
    """

    def __init__(self, path: Path, position: Mapping[str, Any] | None = None) -> None:
        self.path = path
        self._start = 0 if position is None else min(position["start"], path.stat().st_size if path.exists() else 0)
        self._last: dict[str, Any] = {} if position is None else dict(position["last"])
        self._write()

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Write numbers by name, as of a step; null for one that is not finite."""
        if self._last.get("step") != step:
            self._start = self.path.stat().st_size
            self._last = {"step": step}
        self._last |= values
        self._write()

    def position(self) -> dict[str, Any]:
        """Where the file stands, on the disk: the offset of its last line, in bytes, and what is in that line."""
        with self.path.open("rb") as file:
            os.fsync(file.fileno())
        return {"start": self._start, "last": dict(self._last)}

    def _write(self) -> None:
        # the last line is written anew: cut at its start, it is torn for nobody but a reader of this very moment
        with self.path.open("r+b" if self.path.exists() else "wb") as file:
            file.truncate(self._start)
            file.seek(self._start)
            if self._last:
                # JSON has no NaN and no infinity
                numbers = {name: value if math.isfinite(value) else None for name, value in self._last.items()}
                file.write(json.dumps(numbers, allow_nan=False).encode() + b"\n")
