"""The command in processes of its own: signals, SIGKILL, and several at once."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from stn_bench.results.status import read_status
from stn_bench.training.checkpoint import Checkpoints

ROOT = Path(__file__).parents[2]
TRAIN = Path(sys.executable).with_name("stn-train")
WORDS = ["recipe=smoke", "recipe.batch_size=64", "device=cpu", "data.validation=200"]
WORDS += ["model=fcn", "model.units=16"]  # a large network would only take longer
LONG = [*WORDS, "recipe.steps=1000000", "checkpoint.every_steps=20"]
FOLDER = Path("outputs/runs/r/fcn-plain/smoke/seed1")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def begin():
    """A function of words: the command, started; what is still running at the end is killed."""
    started = []

    def command(*words):
        # a shell without job control has its background jobs ignore Ctrl-C, and this process may be one
        restore = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.default_int_handler)}
        process = subprocess.Popen([TRAIN, *words], stderr=subprocess.PIPE, text=True, **restore)
        started.append(process)
        return process

    yield command
    for process in started:
        process.kill()
        process.wait()
        process.stderr.close()


def wait_for(condition):
    while not condition():
        time.sleep(0.01)


def has_begun(folder=FOLDER):
    return any(folder.glob("checkpoint-*"))


def whole(folder=FOLDER):
    """That every file with a name of ours has its content."""
    for path in folder.glob("checkpoint-*"):
        assert path.stat().st_size > 1000
    fingerprint = next(iter(folder.glob("checkpoint-*"))).read_bytes().split(b"\n")[1]
    return Checkpoints(folder, json.loads(fingerprint)["config"]).load()["step"] > 0


@pytest.mark.parametrize(
    ("number", "code"),
    [(number, 128 + number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)],
    ids=lambda value: value.name if isinstance(value, signal.Signals) else str(value),
)
def test_a_signal_saves_then_ends_with_128_and_its_number(begin, number, code):
    process = begin(*LONG, "checkpoint.every_steps=null", "checkpoint.every_minutes=null")
    wait_for(lambda: process.poll() is not None or ((status := read_status(FOLDER)) and status.step > 0))
    assert not has_begun(), "a save would be no doing of the signal's"
    process.send_signal(number)
    _, said = process.communicate()
    assert process.returncode == code, said
    assert re.search(r"^stn-train: .*; the same command goes on from the last checkpoint$", said, re.MULTILINE)
    assert "Traceback" not in said
    status = read_status(FOLDER)
    assert (status.state, status.why) == ("interrupted", "Ctrl-C" if number == signal.SIGINT else number.name)
    newest = max(int(path.name.removeprefix("checkpoint-")) for path in FOLDER.glob("checkpoint-*"))
    assert 0 < status.step == newest < 1_000_000  # the step it was at, not the last one due
    assert whole()


def test_a_second_ctrl_c_leaves_at_once_and_tears_nothing(begin):
    process = begin(*LONG)
    wait_for(has_begun)
    for _ in range(3):
        process.send_signal(signal.SIGINT)
    assert process.wait() in (130, -signal.SIGINT)  # the latter: the third hit it on its way out
    assert whole()


def test_a_second_process_is_refused_until_the_first_one_dies(begin):
    first = begin(*LONG)
    wait_for(has_begun)
    _, said = begin(*LONG).communicate()
    status = read_status(FOLDER)
    assert f"is being worked on by another process ({status.host}, pid {first.pid}, since {status.started_at})" in said
    assert said.count("\n") == 1
    assert first.poll() is None
    first.kill()
    first.wait()
    third = begin(*LONG)
    wait_for(lambda: read_status(FOLDER).pid == third.pid and read_status(FOLDER).step > status.step)


def test_two_sweeps_at_once_share_the_work_and_corrupt_nothing(begin):
    words = [*WORDS, "recipe.steps=1500", "seed=1,2,3,4", "-m", "hydra/launcher=basic"]  # one process a sweep
    said = []
    for process in [begin(*words), begin(*words)]:
        said += process.communicate()[1].splitlines()
        assert process.returncode == 0, said
    counts = Counter()
    for line in said:
        if re.match(r"4 runs: ", line):
            counts.update(
                {kind: int(count) for count, kind in re.findall(r"(\d+) (done|skipped|elsewhere|failed)", line)}
            )
    assert counts.total() == 8
    assert counts["done"] == 4, "each run is done once"
    assert counts["failed"] == 0
    folders = [FOLDER.with_name(f"seed{seed}") for seed in (1, 2, 3, 4)]
    assert [read_status(folder).state for folder in folders] == ["done"] * 4
    assert len({read_status(folder).pid for folder in folders}) == 2, "both worked"
    for folder in folders:
        assert len(list(folder.glob("events.out.tfevents.*"))) == 1
        steps = [json.loads(line)["step"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
        assert steps == sorted(set(steps))


def test_killed_runs_end_as_if_they_had_not_been_killed():
    script = ROOT / "scripts/kill_runs.py"
    command = [sys.executable, script, "--runs", "4", "--commands", "1", "--seed", "3"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\n4 of 4 identical, 0 torn files\n" in done.stdout
    assert done.stdout.endswith("13 of 13 identical, 0 torn files\n")
