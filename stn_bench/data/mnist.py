"""MNIST (LeCun et al. 1998), as arrays, and on disk: what its files must be, where they are, whether they are right."""

import hashlib
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import platformdirs
from numpy.typing import NDArray

from stn_bench.errors import UserError


class NoHomeError(UserError, ValueError):
    """A folder in the home of a user that is not known, as one given by `~NAME`, where no user has the name."""


class Expected(NamedTuple):
    """What a file must be: its SHA-256 in hex and its length in bytes."""

    sha256: str
    size: int


class MNIST(NamedTuple):
    """The digits as published: uint8, background 0."""

    train_images: NDArray[np.uint8]  # (60000, 28, 28)
    train_labels: NDArray[np.uint8]  # (60000,)
    test_images: NDArray[np.uint8]  # (10000, 28, 28)
    test_labels: NDArray[np.uint8]  # (10000,)
    sha256: str  # 16 hex digits that stand for the four files, to be kept with results


MNIST_FILES = {
    "train-images-idx3-ubyte": Expected("ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db", 47_040_016),
    "train-labels-idx1-ubyte": Expected("65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5", 60_008),
    "t10k-images-idx3-ubyte": Expected("0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7", 7_840_016),
    "t10k-labels-idx1-ubyte": Expected("ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2", 10_008),
}
MISSING = "missing"


def mnist_folder(folder: str | os.PathLike[str] | None = None) -> Path:
    """The folder given; else `$STN_DATA_DIR/mnist`, or `mnist` in the user's cache folder if there is no variable.

    Raises NoHomeError for a folder below the home of a user that there is not.
    """
    try:
        if folder is None:
            folder = Path(os.environ.get("STN_DATA_DIR") or platformdirs.user_cache_dir("stn_bench")) / "mnist"
        return Path(folder).expanduser()
    except RuntimeError as error:
        raise NoHomeError(
            f"{folder or 'the folder of the data'} is in the home folder of a user that is not known: name another "
            "folder, as with STN_DATA_DIR=DIR"
        ) from error


def verify_mnist(folder: str | os.PathLike[str] | None = None) -> dict[str, str | None]:
    """What is wrong with each of the four files: None if it is right, else "missing" or what was found and expected."""
    folder = mnist_folder(folder)
    faults: dict[str, str | None] = {}
    for name, expected in MNIST_FILES.items():
        try:
            faults[name] = fault_of((folder / name).read_bytes(), expected)
        except FileNotFoundError:
            faults[name] = MISSING
        except OSError as error:
            faults[name] = f"cannot be read: {error.strerror}"
    return faults


def fault_of(content: bytes, expected: Expected) -> str | None:
    """How the content of a file differs from what is expected, in words; None if it does not."""
    if len(content) != expected.size:
        return f"{len(content):,} bytes found, {expected.size:,} expected"
    found = hashlib.sha256(content).hexdigest()
    if found != expected.sha256:
        return f"SHA-256 {found[:12]}... found, {expected.sha256[:12]}... expected"
    return None
