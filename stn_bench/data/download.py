"""Downloads that leave a silent source: one gz file by its URL, or one command that downloads into a folder."""

import gzip
import io
import os
import signal
import subprocess
import time
import zlib
from contextlib import suppress
from pathlib import Path

IDLE_SECONDS = 15.0  # a source that sends no byte for so long is left
GZIP = b"\x1f\x8b"  # how a gz file begins
LOOK_SECONDS = 0.1  # how often a running command is looked at


class SourceError(Exception):
    """A source of files cannot serve, so the next one is asked; the message says why."""


class NotServedError(SourceError):
    """A source does not give one file, or gives a wrong one; it may still give the others."""


def download_gz(url: str, size: int, idle_seconds: float = IDLE_SECONDS) -> bytes:
    """The content of the gz file at `url`, cut off one byte after `size` bytes if there is more. Whether it is right
    is for the caller to say.

    Raises:
        NotServedError: the server answers, but not with a whole gz file, or with more than `size` bytes can be packed.
        SourceError: the server cannot be reached, or falls silent for `idle_seconds`.
    """
    import requests  # a tenth of a second: not for those who need no download

    longest = size + size // 1000 + 2**10  # packing makes nothing longer but by a header, and one a block
    packed = bytearray()
    try:
        with requests.get(url, stream=True, timeout=idle_seconds) as answer:
            answer.raise_for_status()
            for chunk in answer.iter_content(2**16):
                packed += chunk
                if len(packed) > longest:
                    raise NotServedError(f"packed, it is longer than the {longest:,} bytes that it can be")
    except (requests.ConnectionError, requests.Timeout) as error:
        raise SourceError(_first_cause(error)) from error
    except requests.RequestException as error:
        raise NotServedError(str(error)) from error
    if not packed.startswith(GZIP) and len(packed) >= size:
        return bytes(packed[: size + 1])  # of a server that calls it encoded, so that it came unpacked
    try:
        # enough to see that it is too long; a thousandfold is never unpacked
        return gzip.open(io.BytesIO(packed)).read(size + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise NotServedError(f"not a whole gz file: {error}") from error


def run_watched(command: list[str], folder: Path, idle_seconds: float = IDLE_SECONDS) -> None:
    """Run a command that downloads into `folder`, its working and temporary folder, until it ends or hangs.

    Bytes that arrive are seen as growth of the folder, where its output goes too. Once the folder has not changed for
    `idle_seconds`, the command and all that it started are ended.

    Raises:
        SourceError: the command cannot be started, hangs, or fails: then with what it complained of.
    """
    output = folder / "output.txt"
    try:
        with output.open("wb") as stream:
            process = subprocess.Popen(
                command,
                cwd=folder,
                env={**os.environ, "TMPDIR": str(folder), "TEMP": str(folder), "TMP": str(folder)},
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a process group of its own, to be ended as one
            )
    except OSError as error:
        raise SourceError(f"{command[0]} cannot be started: {error.strerror}") from error
    try:
        _wait_while_it_grows(process, folder, idle_seconds)
    finally:
        _end(process)
    if process.returncode != 0:
        raise SourceError(_complaint(output.read_text(errors="replace")) or f"it ended with code {process.returncode}")


def _wait_while_it_grows(process: subprocess.Popen[bytes], folder: Path, idle_seconds: float) -> None:
    size, changed_at = 0, time.monotonic()
    while process.poll() is None:
        with suppress(subprocess.TimeoutExpired):
            process.wait(LOOK_SECONDS)
        last_size, size = size, _bytes_in(folder)
        if size != last_size:
            changed_at = time.monotonic()
        elif time.monotonic() - changed_at > idle_seconds:
            raise SourceError(f"no byte came for {idle_seconds:g} s")


def _bytes_in(folder: Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):  # gone since it was listed
                total += os.lstat(os.path.join(parent, name)).st_size
    return total


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process, if it still runs, with all that it has started."""
    if process.poll() is None:
        if hasattr(os, "killpg"):  # not on Windows
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        process.wait()


def _complaint(output: str) -> str:
    """The first lines of a command's output that speak of an error, as one line; its last line if none does."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    return " | ".join(errors[:3] or lines[-1:])


def _first_cause(error: BaseException) -> str:
    """What the innermost error says: libraries wrap "connection refused" in half a page."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return str(error)
