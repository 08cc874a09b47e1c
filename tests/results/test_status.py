"""What a run says of itself can be read at any moment, and nothing that lies in its place does harm."""

import dataclasses
import json
import os
import threading

import pytest

from stn_bench.results.status import STATUS_NAME, Status, read_status, write_status

RUNNING = Status(
    state="running",
    step=40,
    steps=7020,
    error=0.25,
    host="größer",
    pid=4711,
    started_at="2026-03-01T12:00:00+00:00",
    updated_at="2026-03-01T12:00:05+00:00",
)


@pytest.mark.parametrize(
    "status",
    [
        RUNNING,
        dataclasses.replace(RUNNING, error=None),
        dataclasses.replace(RUNNING, state="failed", why="MemoryError: 3 GiB\nwanted"),
        dataclasses.replace(RUNNING, state="interrupted", why="by Ctrl-C", step=0),
        dataclasses.replace(RUNNING, state="done", step=7020),
    ],
    ids=lambda status: status.state,
)
def test_what_is_written_is_what_is_read(tmp_path, status):
    write_status(tmp_path, status)
    assert read_status(tmp_path) == status


def test_where_no_run_has_said_anything_there_is_no_status(tmp_path):
    assert read_status(tmp_path) is None
    assert read_status(tmp_path / "nowhere") is None


@pytest.mark.parametrize("error", [float("nan"), float("inf")])
def test_an_error_that_is_not_finite_is_not_known(tmp_path, error):
    write_status(tmp_path, dataclasses.replace(RUNNING, error=error))
    assert read_status(tmp_path) == dataclasses.replace(RUNNING, error=None)


@pytest.mark.parametrize("change", [{"state": "asleep"}, {"step": -1}, {"pid": 0}, {"error": 25.0}, {"host": None}])
def test_a_status_that_could_not_be_read_again_is_not_written(tmp_path, change):
    with pytest.raises(ValueError, match="no status of a run"):
        write_status(tmp_path, dataclasses.replace(RUNNING, **change))
    assert os.listdir(tmp_path) == []


WHOLE = dataclasses.asdict(RUNNING)
HOSTILE = {
    "nothing": b"",
    "half": json.dumps(WHOLE).encode()[:50],
    "a list": b"[]",
    "a number": b"3",
    "not UTF-8": b'{"state": "\xff"}',
    "deep": b"[" * 200_000,
    "a long number": b"9" * 100_000,
    "a null byte": b"\0",
    "a key too few": json.dumps({key: value for key, value in WHOLE.items() if key != "pid"}).encode(),
    "a key too many": json.dumps(WHOLE | {"x": 1}).encode(),
    "a state that is a list": json.dumps(WHOLE | {"state": ["running"]}).encode(),
    "a step that is true": json.dumps(WHOLE | {"step": True}).encode(),
    "a step that is text": json.dumps(WHOLE | {"step": "40"}).encode(),
    "a process id below 1": json.dumps(WHOLE | {"pid": -1}).encode(),
    "an error that is NaN": json.dumps(WHOLE | {"error": float("nan")}).encode(),
    "an error in percent": json.dumps(WHOLE | {"error": 25}).encode(),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_what_is_no_status_is_read_as_none(tmp_path, content):
    (tmp_path / STATUS_NAME).write_bytes(content)
    assert read_status(tmp_path) is None


def test_a_folder_in_the_place_of_the_file_is_read_as_none(tmp_path):
    (tmp_path / STATUS_NAME).mkdir()
    assert read_status(tmp_path) is None


def test_a_write_that_fails_leaves_the_old_status_and_no_other_file(tmp_path, monkeypatch):
    write_status(tmp_path, RUNNING)

    def no_space(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", no_space)
    with pytest.raises(OSError, match="No space"):
        write_status(tmp_path, dataclasses.replace(RUNNING, step=41))
    assert read_status(tmp_path) == RUNNING
    assert os.listdir(tmp_path) == [STATUS_NAME]


def test_a_reader_beside_the_writer_never_sees_half_a_status(tmp_path):
    write_status(tmp_path, RUNNING)
    finished = threading.Event()
    seen = []

    def read():
        while not finished.is_set():
            seen.append(read_status(tmp_path))

    reader = threading.Thread(target=read)
    reader.start()
    for step in range(300):
        write_status(tmp_path, dataclasses.replace(RUNNING, step=step, why="x" * 10_000))
    finished.set()
    reader.join()
    assert seen
    assert None not in seen
