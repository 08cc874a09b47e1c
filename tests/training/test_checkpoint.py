"""Checkpoint files: whole or not there, checked when read, and plain data."""

import errno
import hashlib
import io
import logging
import os
import pickle
import re
import shutil

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stn_bench.training.checkpoint import CheckpointError, Checkpoints

STATE = {
    "weights": torch.arange(6.0).view(2, 3),
    "step": 3,
    "lists": [1, 2.5, None, "word"],
    "rng": torch.get_rng_state(),
}


@pytest.fixture
def checkpoints(tmp_path):
    return Checkpoints(tmp_path, "a" * 64)


def equal(one, other):
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other) and one.dtype == other.dtype
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    return one == other


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def warnings(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def test_what_is_saved_is_what_is_loaded(checkpoints):
    checkpoints.save(3, STATE)
    assert equal(checkpoints.load(), STATE)


def test_where_nothing_was_saved_there_is_nothing(checkpoints):
    assert checkpoints.load() is None


def test_the_last_two_are_kept_by_number_not_by_name(checkpoints, tmp_path):
    for step in (8, 9, 10, 100):
        checkpoints.save(step, {"step": step})
    assert names(tmp_path) == ["checkpoint-10", "checkpoint-100"]
    assert checkpoints.load() == {"step": 100}


def test_removing_leaves_nothing_of_ours_and_all_of_others(checkpoints, tmp_path):
    (tmp_path / ".checkpoint-4.77.tmp").touch()
    (tmp_path / "checkpoint-2.damaged").touch()
    others = ["checkpoint-5.keep", "checkpoint-notes.txt", "notes"]
    for name in others:
        (tmp_path / name).touch()
    (tmp_path / "checkpoint-7").mkdir()
    checkpoints.save(3, STATE)
    checkpoints.remove()
    assert names(tmp_path) == sorted([*others, "checkpoint-7"])
    assert checkpoints.load() is None


def test_what_a_killed_process_left_of_a_write_is_swept_up(checkpoints, tmp_path):
    (tmp_path / ".checkpoint-4.77.tmp").write_bytes(b"half")
    assert checkpoints.load() is None
    assert names(tmp_path) == []


def test_a_file_is_on_the_disk_before_it_takes_its_name_and_the_name_before_the_last_but_two_goes(
    checkpoints, tmp_path, monkeypatch
):
    for step in (1, 2):
        checkpoints.save(step, STATE)
    done = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda file: (done.append((names(tmp_path), "fsync")), fsync(file)))
    monkeypatch.setattr(os, "replace", lambda *paths: (done.append((names(tmp_path), "replace")), replace(*paths)))
    checkpoints.save(3, STATE)
    before = [f".checkpoint-3.{os.getpid()}.tmp", "checkpoint-1", "checkpoint-2"]
    after = ["checkpoint-1", "checkpoint-2", "checkpoint-3"]
    assert done == [(before, "fsync"), (before, "replace"), (after, "fsync")]
    assert names(tmp_path) == after[1:]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A folder with one checkpoint, and its bytes."""
    folder = tmp_path_factory.mktemp("written")
    return folder, Checkpoints(folder, "f").save(1, STATE).read_bytes()


@given(place=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_any_byte_that_is_not_the_one_written_is_noticed(written, place, flip):
    folder, content = written
    changed = bytearray(content)
    changed[int(place * len(content))] ^= flip
    (folder / "checkpoint-1").write_bytes(changed)
    with pytest.raises(CheckpointError, match=r"no checkpoint in .* can be read: checkpoint-1: it"):
        Checkpoints(folder, "f").load()


def test_each_byte_of_the_head_counts(written):
    folder, content = written
    head = content.index(b"\n") + 100
    for place in range(head):
        for flip in (0x01, 0x20, 0x80):
            changed = bytearray(content)
            changed[place] ^= flip
            (folder / "checkpoint-1").write_bytes(changed)
            with pytest.raises(CheckpointError, match="checkpoint-1: it"):
                Checkpoints(folder, "f").load()


@given(share=st.floats(0, 1, exclude_max=True), more=st.binary(max_size=20))
def test_a_file_of_another_length_is_noticed(written, share, more):
    folder, content = written
    cut = content[: int(share * len(content))]
    for changed in (cut, cut + more, content + more + b"!"):
        if changed != content:
            (folder / "checkpoint-1").write_bytes(changed)
            with pytest.raises(CheckpointError, match="can be read"):
                Checkpoints(folder, "f").load()


def test_a_torn_last_file_is_put_aside_with_a_warning_and_the_one_before_serves(checkpoints, tmp_path, caplog):
    checkpoints.save(5, {"step": 5})
    newest = checkpoints.save(9, {"step": 9})
    newest.write_bytes(newest.read_bytes()[:-30])
    assert checkpoints.load() == {"step": 5}
    assert warnings(caplog) == [
        f"{newest} is damaged (its SHA-256 is not the one it states): going on from the one before, checkpoint-5"
    ]
    assert names(tmp_path) == ["checkpoint-5", "checkpoint-9.damaged"]
    checkpoints.save(7, {"step": 7})
    assert checkpoints.load() == {"step": 7}


def test_two_bad_files_are_named_with_the_way_to_start_over_and_left_alone(checkpoints, tmp_path):
    for step in (5, 9):
        checkpoints.save(step, STATE).write_bytes(b"torn")
    with pytest.raises(CheckpointError) as refused:
        checkpoints.load()
    assert str(refused.value) == (
        f"no checkpoint in {tmp_path} can be read: checkpoint-9: it does not start as a checkpoint does; "
        "checkpoint-5: it does not start as a checkpoint does; to start the run over delete both, to keep "
        "them for a look add tag=NAME"
    )
    assert names(tmp_path) == ["checkpoint-5", "checkpoint-9"]


def test_a_checkpoint_of_another_config_is_refused(checkpoints, tmp_path):
    checkpoints.save(5, STATE)
    with pytest.raises(
        CheckpointError, match=rf"^{tmp_path}/checkpoint-5 belongs to a run of another config .*aaaa.*bbb"
    ):
        Checkpoints(tmp_path, "b" * 64).load()
    assert names(tmp_path) == ["checkpoint-5"]


def test_another_torch_is_told_and_goes_on(checkpoints, monkeypatch, caplog):
    monkeypatch.setattr(torch, "__version__", "2.0.0")
    checkpoints.save(5, {"step": 5})
    monkeypatch.undo()
    assert checkpoints.load() == {"step": 5}
    assert re.search("was written by torch 2.0.0 and this is", warnings(caplog)[0])


class Hostile:
    """Leaves a file behind when unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def put_instead(path, state):
    """A whole checkpoint, sum and all, of another state."""
    first, head, _ = path.read_bytes().split(b"\n", 2)
    payload = io.BytesIO()
    torch.save(state, payload)
    counted = head + b"\n" + payload.getvalue()
    sum_ = hashlib.sha256(counted).hexdigest().encode()
    path.write_bytes(b" ".join([*first.split(b" ")[:3], sum_]) + b"\n" + counted)


def test_a_whole_checkpoint_of_something_else_is_damaged_and_the_one_before_serves(checkpoints):
    checkpoints.save(4, {"step": 4})
    put_instead(checkpoints.save(5, {}), [1, 2])
    assert checkpoints.load() == {"step": 4}
    assert [path.name for path in checkpoints.folder.glob("*.damaged")] == ["checkpoint-5.damaged"]


@pytest.mark.parametrize("wrap", [lambda thing: {"training": thing}, lambda thing: thing], ids=["inside", "alone"])
def test_a_hostile_checkpoint_with_a_right_sum_runs_nothing(checkpoints, tmp_path, wrap):
    put_instead(checkpoints.save(5, {}), wrap(Hostile(tmp_path / "sprung")))
    with pytest.raises(CheckpointError, match="it holds no plain state"):
        checkpoints.load()
    pickle.loads(pickle.dumps(Hostile(tmp_path / "control")))
    assert (tmp_path / "control").exists()
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_a_save_that_fails_says_where_and_how_many_bytes_are_free_and_keeps_the_one_before(
    checkpoints, tmp_path, monkeypatch, call, number
):
    checkpoints.save(5, {"step": 5})

    def fail(*arguments):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr(os, call, fail)
        with pytest.raises(CheckpointError) as failed:
            checkpoints.save(9, STATE)
    assert re.fullmatch(
        rf"checkpoint {tmp_path}/checkpoint-9 of [\d,]+ bytes cannot be written: {os.strerror(number)} "
        r"\([\d,]+ bytes free\); checkpoint-5 before it is whole: make room .*",
        str(failed.value),
    )
    assert names(tmp_path) == ["checkpoint-5"]
    assert checkpoints.load() == {"step": 5}


def test_a_state_that_cannot_be_read_again_is_told_when_it_is_first_saved(checkpoints, tmp_path):
    with pytest.raises(CheckpointError, match=r"read again \(it holds .*GLOBAL numpy\.\S+\.scalar [^.]*\): have opti"):
        checkpoints.save(5, {"momentum": np.float64(0.9)})
    assert names(tmp_path) == []


def test_a_disk_that_is_really_full_keeps_the_one_before(small_disk):
    checkpoints = Checkpoints(small_disk, "f")
    checkpoints.save(5, {"weights": torch.zeros(100_000)})
    with pytest.raises(CheckpointError, match=r"No space left on device .* checkpoint-5 before it is whole"):
        checkpoints.save(9, {"weights": torch.zeros(200_000)})
    assert names(small_disk) == ["checkpoint-5"]
    assert equal(checkpoints.load(), {"weights": torch.zeros(100_000)})
    assert shutil.disk_usage(small_disk).free < 800_000
