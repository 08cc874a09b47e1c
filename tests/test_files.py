"""A file is there whole or not at all."""

import errno
import os
import stat

import pytest

from stn_bench.files import write_whole


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_what_cannot_be_written_leaves_what_was_there(tmp_path, monkeypatch, call):
    write_whole(tmp_path / "config.yaml", b"old")
    monkeypatch.setattr(os, call, lambda *arguments: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_whole(tmp_path / "config.yaml", b"new")
    assert (tmp_path / "config.yaml").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["config.yaml"]


def test_the_file_is_on_the_disk_before_it_takes_its_name_and_its_name_when_that_is_told(tmp_path, monkeypatch):
    done, fsync, replace = [], os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda file: (done.append(os.fstat(file).st_ino), fsync(file)))
    monkeypatch.setattr(os, "replace", lambda *names: (done.append("replace"), replace(*names)))
    write_whole(tmp_path / "config.yaml", b"text")
    assert done == [(tmp_path / "config.yaml").stat().st_ino, "replace", tmp_path.stat().st_ino]


@pytest.fixture
def refuse(monkeypatch):
    """A function that has what is of a kind refuse to be synced, with an error of this number."""

    def make(kind, number):
        def fsync(file):
            if kind(os.fstat(file).st_mode):
                raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "fsync", fsync)

    return make


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EBADF, errno.ENOTSUP])
def test_a_file_is_written_where_folders_cannot_be_synced(tmp_path, refuse, number):
    refuse(stat.S_ISDIR, number)
    write_whole(tmp_path / "config.yaml", b"text")
    assert (tmp_path / "config.yaml").read_bytes() == b"text"


@pytest.mark.parametrize(("kind", "number"), [(stat.S_ISREG, errno.EINVAL), (stat.S_ISDIR, errno.EIO)])
def test_what_is_not_on_the_disk_is_told(tmp_path, refuse, kind, number):
    refuse(kind, number)
    with pytest.raises(OSError, match=os.strerror(number)):
        write_whole(tmp_path / "config.yaml", b"text")
