"""Checkpoint files: the state of an unfinished run, written so that no moment of a crash can cost more than the newest.

A file is a line of text, `stn_bench checkpoint FORMAT SHA256`, the JSON line that SHA-256 begins to count at (whose run
it is, and what wrote it), and what `torch.save` makes of the state. It is read as plain data: nothing in it can run.
"""

import hashlib
import io
import json
import logging
import pickle
import re
import shutil
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from stn_bench.errors import UserError
from stn_bench.files import write_whole

FORMAT = 1
MAGIC = b"stn_bench checkpoint "
KEPT = 2
"""How many files are kept: a newest one that turns out damaged has one before it."""

log = logging.getLogger(__name__)


class CheckpointError(UserError):
    """A checkpoint that cannot be written, or none that can be read; the message says what to do."""


class Checkpoints:
    """The checkpoints of one run folder, `checkpoint-STEP`. Its owner alone may save, load and remove.

    Args:
        folder: of the run; it exists.
        fingerprint: of the run's config; files with another one are refused.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self.folder = folder
        self.fingerprint = fingerprint

    def paths(self) -> list[Path]:
        """The files, oldest first."""
        return sorted(self._named(r"checkpoint-(\d+)"), key=lambda path: int(path.name.removeprefix("checkpoint-")))

    def save(self, step: int, state: Mapping[str, Any]) -> Path:
        """Write the state after `step` steps, then remove all files but the last two. Raises CheckpointError.

        The file appears whole or not at all, and is on the disk when this returns; those before it stay till then.
        The first one is read again, so that a state for which there is no way back is found out early.
        """
        is_first = not self.paths()
        content = _encode(self.fingerprint, state)
        path = self.folder / f"checkpoint-{step}"
        try:
            write_whole(path, content)
        except OSError as error:
            raise CheckpointError(self._not_saved(path, len(content), error)) from error
        if is_first:
            self._read_again(path)
        for old in self.paths()[:-KEPT]:
            old.unlink(missing_ok=True)
        return path

    def load(self) -> dict[str, Any] | None:
        """The newest state that is whole, its tensors on the CPU; None where nothing was ever saved.

        A damaged file is warned about by name and put aside as NAME.damaged.
        Raises CheckpointError where all are damaged, or where one belongs to another config.
        """
        for stale in self.folder.glob(".checkpoint-*.tmp"):
            stale.unlink(missing_ok=True)  # a process died while it wrote this
        damaged: list[tuple[Path, str]] = []
        for path in reversed(self.paths()):
            try:
                state = _decode(path, self.fingerprint)
            except (ValueError, OSError) as error:
                damaged.append((path, str(error)))
                continue
            for bad, why in damaged:
                log.warning("%s is damaged (%s): going on from the one before, %s", bad, why, path.name)
                bad.replace(bad.with_name(f"{bad.name}.damaged"))
            return state
        if damaged:
            raise CheckpointError(
                f"no checkpoint in {self.folder} can be read: "
                + "; ".join(f"{path.name}: {why}" for path, why in damaged)
                + f"; to start the run over delete {'both' if len(damaged) == 2 else 'it'}, to keep them for a look "
                "add tag=NAME"
            )
        return None

    def remove(self) -> None:
        """Delete all files: the run is finished, or its state not worth keeping."""
        for path in self._named(r"checkpoint-\d+(\.damaged)?|\.checkpoint-.*\.tmp"):
            path.unlink(missing_ok=True)

    def _read_again(self, path: Path) -> None:
        try:
            _decode(path, self.fingerprint)
        except ValueError as error:
            path.unlink()
            raise CheckpointError(
                f"a checkpoint of this run cannot be read again ({error}): have optimiser and network keep nothing but "
                "tensors, plain numbers and words, in lists and mappings"
            ) from error

    def _named(self, pattern: str) -> list[Path]:
        """Files in the folder by their names; others that are like them are somebody's own."""
        found = self.folder.glob("*checkpoint-*")
        return [path for path in found if re.fullmatch(pattern, path.name) and path.is_file()]

    def _not_saved(self, path: Path, size: int, error: OSError) -> str:
        free = "unknown"
        with suppress(OSError):
            free = f"{shutil.disk_usage(self.folder).free:,}"
        before = self.paths()
        rest = f"{before[-1].name} before it is whole" if before else "there is none before it"
        return (
            f"checkpoint {path} of {size:,} bytes cannot be written: {error.strerror or error} ({free} bytes free); "
            f"{rest}: make room or the folder writable, then type the same command again to go on"
        )


def _encode(fingerprint: str, state: Mapping[str, Any]) -> bytes:
    payload = io.BytesIO()
    torch.save(dict(state), payload)
    head = {"config": fingerprint, "torch": torch.__version__}
    counted = json.dumps(head).encode() + b"\n" + payload.getvalue()
    return MAGIC + f"{FORMAT} {hashlib.sha256(counted).hexdigest()}\n".encode() + counted


def _decode(path: Path, fingerprint: str) -> dict[str, Any]:
    """What a file holds. Raises ValueError for a damaged one, CheckpointError for a whole one of another run."""
    content = path.read_bytes()
    first, _, counted = content.partition(b"\n")
    words = first.removeprefix(MAGIC).split(b" ")
    if not first.startswith(MAGIC) or len(words) != 2:
        raise ValueError("it does not start as a checkpoint does")
    if hashlib.sha256(counted).hexdigest().encode() != words[1]:
        raise ValueError("its SHA-256 is not the one it states")
    if words[0] != str(FORMAT).encode():
        raise ValueError(f"it states format {words[0].decode(errors='replace')}, this version reads {FORMAT}")
    try:
        head_line, _, payload = counted.partition(b"\n")
        head = json.loads(head_line)
        written_for, written_by = str(head["config"]), str(head["torch"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"it does not say whose it is: {error!r}") from error
    if written_for != fingerprint:
        raise CheckpointError(
            f"{path} belongs to a run of another config (its fingerprint is {written_for[:12]}, this run's "
            f"{fingerprint[:12]}): add tag=NAME to run beside it, or delete the checkpoints in {path.parent} to start "
            "over"
        )
    if written_by != torch.__version__:
        log.warning(
            "%s was written by torch %s and this is %s: the run goes on, but its last bits may differ from those of "
            "one that never stopped",
            path,
            written_by,
            torch.__version__,
        )
    try:
        state = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, zipfile.BadZipFile) as error:
        why = str(error).rpartition("WeightsUnpickler error: ")[2].strip()  # amid advice that serves nobody here
        reason = (why or type(error).__name__).splitlines()[0].split(". ")[0]
        raise ValueError(f"it holds no plain state: {reason}") from error
    if not isinstance(state, dict):
        raise ValueError(f"it holds {type(state).__name__}, not a state")
    return state
