"""Files that appear whole or not at all, and are on the disk when the call returns."""

import errno
import os
from pathlib import Path

NO_SYNC = (errno.EINVAL, errno.EBADF, errno.ENOTSUP)
"""What file systems say that keep no folder on the disk by itself, as one shared with a virtual machine."""


def write_whole(path: Path, content: bytes) -> None:
    """Write a file all at once, over one that may be there. Raises OSError; what was there stays then.

    A process that dies within leaves `.NAME.PID.tmp` beside it.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")  # same folder: replacing is atomic only there
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Have the folder's new name on the disk, too."""
    if os.name != "posix":
        return  # elsewhere a folder cannot be opened
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in NO_SYNC:
            raise
    finally:
        os.close(handle)
