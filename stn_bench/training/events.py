"""TensorBoard's event files of a run folder: how long they are, and how to cut them back to what is known."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path

PATTERN = "events.out.tfevents.*"

log = logging.getLogger(__name__)


def lengths(folder: Path) -> dict[str, int]:
    """The length in bytes of each event file, by name, once it is on the disk. Whoever writes must have flushed."""
    found = {}
    for path in sorted(folder.glob(PATTERN)):
        with path.open("rb") as file:
            os.fsync(file.fileno())
            found[path.name] = os.fstat(file.fileno()).st_size
    return found


def cut(folder: Path, known: Mapping[str, int]) -> None:
    """Remove what came after `lengths` gave `known`: later files, and the later part of others."""
    for path in folder.glob(PATTERN):
        if path.name not in known:
            path.unlink()
        elif path.stat().st_size >= known[path.name]:
            os.truncate(path, known[path.name])
        else:
            log.warning("%s is shorter than it was: some of its curves are lost, the run's results are not", path)
