"""What the machine can do to a run, as sentences that say what to do. Free of torch."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from stn_bench.errors import UserError

FULL = (errno.ENOSPC, errno.EDQUOT)
NO_FOLDER = (errno.ENOTDIR, errno.EEXIST)
FORBIDDEN = (errno.EROFS, errno.EACCES, errno.EPERM)
NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
OUT_OF_MEMORY = (
    "can't allocate memory",  # the CPU's
    "CUDA out of memory",  # tensors
    "CUDA error: out of memory",  # contexts, graphs
    "_ALLOC_FAILED",  # the room that cuBLAS and its like work in
)


class MachineFault(UserError):
    """A full disk, a folder that cannot be written to or locked, or memory that is not there."""


def of_system(error: OSError, folder: Path | str | None = None) -> str | None:
    """A sentence for a full disk or for a folder that cannot be made, written to or locked; None for other errors."""
    place = error.filename or folder or "the output folder"
    ours = folder is None or Path(folder).absolute() in (Path(place).absolute(), *Path(place).absolute().parents)
    if error.errno in FULL:
        free = ""
        with suppress(OSError):
            free = f" ({shutil.disk_usage(Path(place).parent if error.filename else place).free:,} bytes free)"
        again = " to go on from the last checkpoint" if ours else ""
        return f"{place} cannot be written: {error.strerror}{free}; make room, then type the same command again{again}"
    other = "choose another with output=DIR" if ours else "choose another"
    if error.errno in FORBIDDEN:
        return f"{place} cannot be written: {error.strerror}; make its folder writable, or {other}"
    if error.errno in NO_FOLDER:
        return f"{place} cannot be made, as it or a part of its path is a file, not a folder: {other}"
    if error.errno in NO_LOCKS:
        return f"{place} cannot be locked, as its file system has no locks ({error.strerror}): {other}"
    return None


@contextmanager
def explained(folder: Path, batch_size: int) -> Iterator[None]:
    """Have faults of the machine raised as MachineFault."""
    try:
        yield
    except OSError as error:
        if isinstance(error, UserError) or (sentence := of_system(error, folder)) is None:
            raise
        raise MachineFault(sentence) from error
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        smaller = max(1, batch_size // 2)
        raise MachineFault(
            f"out of memory with recipe.batch_size={batch_size} ({_first_line(error)}): end other programs and type "
            f"the same command again to go on from the last checkpoint, or try recipe.batch_size={smaller} tag=NAME, "
            "which is another run"
        ) from error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the machine's or the GPU's memory is used up."""
    # torch.OutOfMemoryError is a RuntimeError, as is what torch raises for the CPU
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or any(words in str(error) for words in OUT_OF_MEMORY)
    )


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
