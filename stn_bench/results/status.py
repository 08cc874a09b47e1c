"""How far a run is: `status.json` in its folder, written by the run, read by whoever waits for it. Needs no torch."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from stn_bench.files import write_whole

STATUS_NAME = "status.json"
State = Literal["running", "done", "failed", "interrupted"]


@dataclass(frozen=True, kw_only=True)
class Status:
    """A run's last word on itself. "running" may be out of date: the process that wrote it can have died since."""

    state: State
    why: str | None = None  # in words, for a run that failed or was interrupted
    step: int  # optimiser steps done
    steps: int  # of so many
    error: float | None = None  # latest training error, a fraction; None: not known yet
    host: str  # the machine that the run is on, and its process there
    pid: int
    started_at: str  # ISO 8601, UTC
    updated_at: str


def write_status(folder: Path | str, status: Status) -> None:
    """Write `status.json` into a run folder that exists. It appears complete or not at all.

    JSON has no NaN: an error that is not finite is written as null.
    Raises `ValueError` for a status that could not be read again; `OSError` where the folder cannot be written to.
    """
    content = asdict(status)
    if isinstance(status.error, float) and not math.isfinite(status.error):
        content["error"] = None
    if not _is_status(content):
        raise ValueError(f"this is no status of a run: {status}")
    write_whole(Path(folder) / STATUS_NAME, (json.dumps(content, indent=2) + "\n").encode())


def read_status(folder: Path | str) -> Status | None:
    """The status in a run folder; None where there is none, or where it is torn or no status at all."""
    try:
        content = json.loads((Path(folder) / STATUS_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):  # not there, not UTF-8, not JSON, nested to make readers stumble
        return None
    return Status(**content) if _is_status(content) else None


def _is_status(content: Any) -> bool:
    def text(*names: str) -> bool:
        return all(isinstance(content[name], str) for name in names)

    def count(name: str, least: int) -> bool:
        return type(content[name]) is int and content[name] >= least  # bool is an int to Python, not to us

    return (
        isinstance(content, dict)
        and content.keys() == Status.__dataclass_fields__.keys()
        and text("state", "host", "started_at", "updated_at")
        and content["state"] in get_args(State)
        and (content["why"] is None or text("why"))
        and (count("step", 0) and count("steps", 0) and count("pid", 1))
        and (content["error"] is None or (type(content["error"]) in (int, float) and 0 <= content["error"] <= 1))
    )
