"""Who works in a run folder: one process at a time, whose death gives the folder free."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from stn_bench.cli.faults import MachineFault, of_system
from stn_bench.errors import UserError
from stn_bench.results.status import read_status

LOCK = ".lock"


class RunInProgress(UserError):
    """Raised where another process works in a run folder; `owner` says which, in words."""

    def __init__(self, folder: Path) -> None:
        status = read_status(folder)
        # the lock is taken a moment before the first status is written
        self.owner = f"{status.host}, pid {status.pid}, since {status.started_at}" if status else "started just now"
        super().__init__(
            f"{folder} is being worked on by another process ({self.owner}): wait for it, or stop it and type the "
            "same command again to go on from its last checkpoint"
        )


@contextmanager
def owned(folder: Path) -> Iterator[None]:
    """Be the only process in a run folder that exists.

    Raises RunInProgress where another one is, MachineFault where the folder cannot be locked.
    The operating system holds the lock, and drops it with the process, however that ends; the lock file stays.
    """
    lock = FileLock(folder / LOCK, fallback_to_soft=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise RunInProgress(folder) from None
    except OSError as error:
        if (sentence := of_system(error, folder)) is None:
            raise
        raise MachineFault(sentence) from error
    try:
        yield
    finally:
        lock.release()


def check_free(folder: Path) -> None:
    """Raise RunInProgress where another process works in a folder, and leave no trace where none does."""
    if (folder / LOCK).exists():
        with owned(folder):
            pass
