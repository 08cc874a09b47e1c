"""A file is there whole or not at all."""

import os

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
