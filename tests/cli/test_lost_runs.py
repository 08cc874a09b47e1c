"""What can befall a run: it goes on where it stopped, or says in a sentence what to do; nothing is lost."""

import errno
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from stn_bench.cli.attempt import Attempt
from stn_bench.cli.ownership import owned
from stn_bench.data.mnist import mnist_folder
from stn_bench.results.status import read_status, write_status
from stn_bench.training.checkpoint import Checkpoints
from stn_bench.training.interruption import Interrupted
from stn_bench.training.keeper import Keeper

WORDS = (
    "recipe=smoke",
    "recipe.batch_size=64",
    "model=fcn",
    "model.units=64",
    "device=cpu",
    "checkpoint.every_steps=5",
)
FOLDER = Path("outputs/runs/r/fcn-plain/smoke/seed1")
OUT_OF_MEMORY = (
    "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate "
    "99 bytes. Error code 12 (Cannot allocate memory)"
)


@pytest.fixture(autouse=True)
def quick(few_files):
    """A few digits: 20 steps are two epochs."""


@pytest.fixture
def stop(monkeypatch):
    """A function of a step and an error: the next run meets the error after that step, once all of it is done."""

    def at(step, error):
        after_step = Keeper.after_step

        def stopping(self, training, logbook):
            after_step(self, training, logbook)
            if training.step == step:
                monkeypatch.setattr(Keeper, "after_step", after_step)
                raise error

        monkeypatch.setattr(Keeper, "after_step", stopping)

    return at


@pytest.fixture
def whole(stn_train):
    """What a run leaves that nothing befell."""
    assert stn_train(*WORDS, "output=whole").code == 0
    return results("whole/r/fcn-plain/smoke/seed1")


def results(folder=FOLDER):
    """Weights, predictions and numbers of a run, and its record without times."""
    folder = Path(folder)
    record = json.loads((folder / "result.json").read_text())
    for name in ("seconds", "images_per_second", "finished_at"):
        del record[name]
    del record["config"]["output"]
    content = [(folder / name).read_bytes() for name in ("model.safetensors", "predictions.npz", "metrics.jsonl")]
    return [*content, record]


def checkpoints():
    return sorted(path.name for path in FOLDER.glob("checkpoint-*"))


def goes_on(stn_train, whole, step):
    """The same command again finishes the run from a step, with the results of one that never stopped."""
    said = stn_train(*WORDS)
    assert said.code == 0, said.err
    assert f"going on after step {step}" in said.err
    assert results() == whole
    assert checkpoints() == []
    assert read_status(FOLDER).state == "done"
    return True


def failed(said, *words):
    """A command that ended with one sentence, which the status has, too."""
    assert said.code == 1
    sentence = said.err.splitlines()[-1].removeprefix("stn-train: ")
    assert "Traceback" not in said.err
    for word in words:
        assert re.search(word, sentence), sentence
    status = read_status(FOLDER)
    assert (status.state, status.why) == ("failed", sentence)
    return True


def test_a_finished_run_says_so_and_keeps_no_checkpoint(stn_train):
    assert stn_train(*WORDS).code == 0
    status = read_status(FOLDER)
    assert (status.state, status.why, status.step, status.steps, status.pid) == ("done", None, 20, 20, os.getpid())
    assert 0 < status.error < 1
    assert status.started_at <= status.updated_at
    assert checkpoints() == []
    assert not list(FOLDER.glob(".*.tmp"))


def test_a_run_that_goes_on_in_another_precision_says_so_and_so_does_its_record(stn_train, stop, monkeypatch):
    precisions = ["bf16", "fp32", "fp32"]
    monkeypatch.setattr("stn_bench.cli.job.resolved", lambda wanted, device: precisions.pop(0))
    stop(7, KeyboardInterrupt)
    stn_train(*WORDS)
    stop(12, KeyboardInterrupt)
    assert "its first steps were in bf16" in stn_train(*WORDS).err
    assert "its first steps" not in stn_train(*WORDS).err
    assert json.loads((FOLDER / "result.json").read_text())["precision"] == "bf16, then fp32"


def test_a_record_names_the_commits_the_devices_and_the_libraries_that_trained_the_run(stn_train, stop, monkeypatch):
    commits, devices, torches = ["one", "two", "two"], ["CPU, 1 thread"] * 4 + ["GPU"] * 2, ["12.4", "12.4", "2.4"]
    monkeypatch.setattr("stn_bench.cli.job.git_commit", lambda: commits.pop(0))
    monkeypatch.setattr("stn_bench.cli.job.describe", lambda device: devices.pop(0))  # to say it, and for the record
    monkeypatch.setattr("stn_bench.cli.job.versions", lambda: {"torch": torches.pop(0)})
    for step in (7, 12):
        stop(step, KeyboardInterrupt)
        stn_train(*WORDS)
    assert stn_train(*WORDS).code == 0
    record = json.loads((FOLDER / "result.json").read_text())
    assert record["git_commit"] == "one, then two"
    assert record["device"] == "CPU, 1 thread, then GPU"
    assert record["versions"] == {"torch": "12.4, then 2.4"}


def test_a_full_disk_does_not_hide_the_signal_that_ended_a_run(tmp_path, monkeypatch):
    attempt = Attempt(tmp_path).__enter__()
    monkeypatch.setattr("stn_bench.cli.attempt.write_status", no_space)
    assert not attempt.__exit__(Interrupted, Interrupted(15), None)


def no_space(*arguments):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_stopped_run_says_how_far_it_is_and_goes_on(stn_train, whole, stop):
    stop(12, KeyboardInterrupt)
    said = stn_train(*WORDS)
    assert said.code == 130
    assert said.err.endswith("stn-train: interrupted; the same command goes on from the last checkpoint\n")
    status = read_status(FOLDER)
    assert (status.state, status.why, status.step, status.steps) == ("interrupted", "Ctrl-C", 10, 20)
    assert checkpoints() == ["checkpoint-10", "checkpoint-5"]
    assert goes_on(stn_train, whole, 10)


def test_a_run_goes_on_where_a_number_is_written_otherwise(stn_train, stop):
    stop(12, KeyboardInterrupt)
    stn_train(*WORDS, "recipe.clip_norm=1.0")
    for word in ("recipe.clip_norm=1", "recipe.clip_norm=1.00"):
        if word == "recipe.clip_norm=1":
            stop(17, KeyboardInterrupt)
        said = stn_train(*WORDS, word)
        assert "going on after step" in said.err
    assert said.code == 0


def test_what_is_not_the_runs_may_change_when_it_goes_on(stn_train, whole, stop):
    stop(12, KeyboardInterrupt)
    stn_train(*WORDS)
    assert "going on after step 10" in stn_train(*WORDS, "checkpoint.every_steps=3").err
    assert results()[:3] == whole[:3]


def test_another_config_does_not_go_on_from_it(stn_train, stop):
    stop(12, KeyboardInterrupt)
    stn_train(*WORDS)
    said = stn_train(*WORDS, "recipe.steps=30")
    assert said.code == 1
    assert f"{FOLDER} holds a run of another config, which differs in recipe.steps (there 20, now 30)" in said.err
    assert checkpoints() == ["checkpoint-10", "checkpoint-5"]


def test_a_torn_checkpoint_is_told_and_the_one_before_serves(stn_train, whole, stop, caplog):
    stop(12, KeyboardInterrupt)
    stn_train(*WORDS)
    os.truncate(FOLDER / "checkpoint-10", 1000)
    assert goes_on(stn_train, whole, 5)
    assert [record.getMessage() for record in caplog.records if "damaged" in record.getMessage()] == [
        f"{FOLDER}/checkpoint-10 is damaged (its SHA-256 is not the one it states): going on from the one before, "
        "checkpoint-5"
    ]


def test_two_torn_checkpoints_are_told_with_the_way_to_start_over(stn_train, whole, stop):
    stop(12, KeyboardInterrupt)
    stn_train(*WORDS)
    for name in checkpoints():
        os.truncate(FOLDER / name, 1000)
    assert failed(stn_train(*WORDS), "checkpoint-10: its SHA-256 .*; checkpoint-5: .* start the run over delete both")
    for name in checkpoints():
        (FOLDER / name).unlink()
    assert stn_train(*WORDS).code == 0
    assert results() == whole


def test_a_checkpoint_of_another_config_is_refused(stn_train, stop):
    stop(12, KeyboardInterrupt)
    stn_train(*WORDS)
    Checkpoints(FOLDER, "another").save(15, {})
    assert failed(stn_train(*WORDS), "checkpoint-15 belongs to a run of another config", "delete the checkpoints in")
    (FOLDER / "checkpoint-15").unlink()
    assert stn_train(*WORDS).code == 0


def test_a_disk_that_fills_up_while_saving_costs_nothing_before(stn_train, whole, monkeypatch):
    replace = os.replace

    def full(old, new):
        if Path(new).name == "checkpoint-10":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(old, new)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", full)
        said = stn_train(*WORDS)
    assert failed(said, rf"{FOLDER}/checkpoint-10 of .* No space left on device \([\d,]+ bytes free\)", "make room")
    assert checkpoints() == ["checkpoint-5"]
    assert goes_on(stn_train, whole, 5)


@pytest.mark.parametrize("name", ["model.safetensors", "predictions.npz", "result.json"])
def test_a_disk_that_fills_up_at_the_end_costs_no_step(stn_train, whole, monkeypatch, name):
    replace = os.replace

    def full(old, new):
        if Path(new).name == name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(old, new)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", full)
        said = stn_train(*WORDS)
    assert failed(said, "No space left on device", "make room")
    assert not (FOLDER / "result.json").exists()
    assert "checkpoint-20" in checkpoints()
    assert goes_on(stn_train, whole, 20)


def test_a_disk_that_is_really_full_ends_in_a_sentence_and_nothing_torn(stn_train, small_disk):
    said = stn_train(*WORDS, "model.units=300", f"output={small_disk}")
    assert said.code == 1
    assert re.search(
        r"stn-train: .*checkpoint-5 of \d,\d+,\d+ bytes cannot be written: No space left on device", said.err
    )
    left = {path.name.split(".")[0] for path in (small_disk / "r/fcn-plain/smoke/seed1").iterdir()}
    assert left <= {"config", "events", "metrics", "status", ""}


def test_a_disk_that_may_only_be_read_is_told_with_what_to_do(stn_train, small_disk):
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    said = stn_train(*WORDS, f"output={small_disk}")
    assert said.code == 1
    assert said.err.startswith(f"stn-train: {small_disk}/r")
    assert said.err.endswith(
        " cannot be written: Read-only file system; make its folder writable, or choose another with output=DIR\n"
    )


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS])
def test_a_folder_that_cannot_be_locked_is_told_with_what_to_do(stn_train, monkeypatch, number):
    def refuse(file, operation):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", refuse)
    for _ in range(2):
        assert stn_train(*WORDS) == (
            1,
            "",
            f"stn-train: {FOLDER} cannot be locked, as its file system has no locks ({os.strerror(number)}): choose "
            "another with output=DIR\n",
        )


def test_a_disk_that_may_only_be_read_from_now_on_costs_no_checkpoint(stn_train, small_disk, stop):
    words = (*WORDS, "model.units=16", f"output={small_disk}")
    folder = small_disk / "r/fcn-plain/smoke/seed1"
    stop(12, KeyboardInterrupt)
    stn_train(*words)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    said = stn_train(*words)
    assert said.code == 1
    assert "cannot be written: Read-only file system; make its folder writable" in said.err
    assert {path.name for path in folder.glob("checkpoint-*")} == {"checkpoint-5", "checkpoint-10"}
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    assert "going on after step 10" in stn_train(*words).err


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError(OUT_OF_MEMORY),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        MemoryError(),
    ],
    ids=["cpu", "cuda", "context", "cublas", "python"],
)
def test_memory_that_is_not_there_is_told_with_the_batch_size_to_try(stn_train, whole, stop, error):
    stop(12, error)
    assert failed(
        stn_train(*WORDS), r"^out of memory with recipe.batch_size=64 \(", "try recipe.batch_size=32 tag=NAME"
    )
    assert goes_on(stn_train, whole, 10)


def test_any_other_error_keeps_its_traceback_and_is_in_the_status(stn_train, whole, stop):
    stop(12, RuntimeError("a bug"))
    with pytest.raises(RuntimeError, match="a bug"):
        stn_train(*WORDS)
    status = read_status(FOLDER)
    assert (status.state, status.why) == ("failed", "a bug")
    assert goes_on(stn_train, whole, 10)


def test_a_run_that_fails_before_its_first_checkpoint_leaves_its_folder_to_another_config(stn_train, stop):
    stop(4, RuntimeError("a bug"))
    with pytest.raises(RuntimeError, match="a bug"):
        stn_train(*WORDS)
    status = read_status(FOLDER)
    assert (status.state, status.why) == ("failed", "a bug")
    assert stn_train(*WORDS, "model.units=32").code == 0


def test_a_diverged_run_says_so_and_leaves_its_folder_to_another_config(stn_train):
    said = stn_train(
        *WORDS, "recipe.precision=fp32", "recipe.clip_norm=null", "recipe/optimiser=sgd", "recipe.optimiser.lr=1e9"
    )
    advice = "lower recipe.optimiser.lr, set recipe.clip_norm=1, or use recipe.precision=fp32$"
    assert failed(said, f"^diverged between steps .* {advice}")
    assert checkpoints() == []
    assert not (FOLDER / "result.json").exists()
    assert stn_train(*WORDS, "recipe/optimiser=sgd").code == 0, "the advice can be followed in the same folder"


def test_data_that_are_damaged_while_a_run_rests_are_noticed_and_cost_nothing(stn_train, monkeypatch, tmp_path, stop):
    monkeypatch.undo()  # the real digits
    monkeypatch.chdir(tmp_path)
    folder = shutil.copytree(mnist_folder(), tmp_path / "data")
    words = (*WORDS, "data.validation=200", f"data.folder={folder}")
    stop(12, KeyboardInterrupt)
    assert stn_train(*words).code == 130
    monkeypatch.setattr("stn_bench.data.sources.mnist_sources", lambda: [])
    labels = folder / "train-labels-idx1-ubyte"
    right = labels.read_bytes()
    labels.write_bytes(right[:-1] + b"!")
    said = stn_train(*words)
    assert said.code == 1
    assert "train-labels-idx1-ubyte" in said.err
    assert read_status(FOLDER).why.startswith(f"MNIST is not complete in {folder}")
    assert checkpoints() == ["checkpoint-10", "checkpoint-5"]
    labels.write_bytes(right)
    assert "going on after step 10" in stn_train(*words).err
    assert read_status(FOLDER).state == "done"


def test_a_record_that_is_torn_is_told_and_made_again(stn_train, whole, caplog):
    assert stn_train(*WORDS).code == 0
    os.truncate(FOLDER / "result.json", 100)
    said = stn_train(*WORDS)
    assert said.code == 0
    assert [record.getMessage().split(" (")[0] for record in caplog.records if "record" in record.getMessage()] == [
        f"{FOLDER} was finished, but its record is damaged, so it is done again"
    ] * 2
    assert results() == whole


def test_a_record_of_another_schema_is_not_written_over(stn_train):
    assert stn_train(*WORDS).code == 0
    path = FOLDER / "result.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": 99}))
    said = stn_train(*WORDS)
    assert said.code == 1
    assert "has schema 99 and this stn_bench reads schema 1" in said.err
    assert json.loads(path.read_text())["schema"] == 99


@pytest.mark.parametrize("text", ["", "recipe: {steps: 2", "recipe:\n  ste"])
def test_a_torn_config_is_told_and_the_advice_goes_on(stn_train, whole, stop, text):
    stop(12, KeyboardInterrupt)
    stn_train(*WORDS)
    (FOLDER / "config.yaml").write_text(text)
    said = stn_train(*WORDS)
    assert said.code == 1
    assert "Traceback" not in said.err
    if text.endswith("ste"):
        assert "holds a run of another config" in said.err or "cannot be read" in said.err
    else:
        assert re.search(
            rf"stn-train: {FOLDER}/config.yaml cannot be read .* delete the file if it is this one", said.err
        )
    (FOLDER / "config.yaml").unlink()
    assert goes_on(stn_train, whole, 10)


def test_what_is_left_when_the_record_is_there_is_swept_up(stn_train):
    assert stn_train(*WORDS).code == 0
    before = results()
    status = read_status(FOLDER)
    write_status(FOLDER, type(status)(**{**vars(status), "state": "running"}))
    Checkpoints(FOLDER, "f").save(20, {})
    (FOLDER / ".status.json.77.tmp").touch()
    assert stn_train(*WORDS).err.startswith("skipped, already finished")
    assert not list(FOLDER.glob(".*.tmp"))
    assert checkpoints() == []
    assert read_status(FOLDER).state == "done"
    assert results() == before


def test_a_run_of_somebody_else_is_refused_by_host_pid_and_start(stn_train, stop):
    stop(12, KeyboardInterrupt)
    stn_train(*WORDS)
    status = read_status(FOLDER)
    with owned(FOLDER):
        said = stn_train(*WORDS)
    assert said == (
        1,
        "",
        f"stn-train: {FOLDER} is being worked on by another process ({status.host}, pid {status.pid}, since "
        f"{status.started_at}): wait for it, or stop it and type the same command again to go on from its last "
        "checkpoint\n",
    )
    assert read_status(FOLDER) == status
    assert stn_train(*WORDS).code == 0


def test_a_sweep_leaves_to_others_what_they_are_at(stn_train, stop):
    stop(12, KeyboardInterrupt)
    stn_train(*WORDS)
    with owned(FOLDER):
        said = stn_train(*WORDS, "seed=1,2", "-m")
    assert said.code == 0, said.err
    named, counts = said.err.splitlines()[-2:]
    assert re.search(r"^elsewhere  .* seed=1  \S+, pid \d+, since ", named)
    assert counts == "2 runs: 1 done, 1 elsewhere"


def test_predictions_and_weights_are_those_of_the_record(stn_train, whole, stop):
    stop(17, KeyboardInterrupt)
    stn_train(*WORDS)
    assert stn_train(*WORDS).code == 0
    predictions = np.load(FOLDER / "predictions.npz")["predictions"]
    assert len(predictions) == json.loads((FOLDER / "result.json").read_text())["images"]
