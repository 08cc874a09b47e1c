"""A sweep of real runs, each in its process: some die, the others are done, and the same command does the rest."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from stn_bench.results.status import read_status

TRAIN = Path(sys.executable).with_name("stn-train")
RUNS = Path("outputs/runs/r")
SWEEP = (
    "recipe=smoke",
    "recipe.steps=20",
    "model=fcn,cnn",
    "seed=1,2,3",
    "device=cpu",
    "data.validation=500",
    "-m",
)
NO_FOLDER, KILLED = RUNS / "fcn-plain/smoke/seed2", RUNS / "cnn-plain/smoke/seed2"


def finished():
    return {path: path.stat().st_mtime_ns for path in RUNS.rglob("result.json")}


def test_what_dies_in_a_sweep_is_named_the_rest_is_done_and_the_same_command_does_what_is_left(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    NO_FOLDER.parent.mkdir(parents=True)
    NO_FOLDER.touch()  # a file where a run wants its folder
    sweep = subprocess.Popen([TRAIN, *SWEEP], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while (status := read_status(KILLED)) is None:  # which is written before the first step
        assert sweep.poll() is None, sweep.communicate()
        time.sleep(0.01)
    os.kill(status.pid, signal.SIGKILL)
    out, err = sweep.communicate()
    assert (sweep.returncode, out) == (1, ""), err
    print(err)
    first, second, counts, last = err.splitlines()[-4:]
    given = "recipe=smoke recipe.steps=20 model={} seed={} device=cpu data.validation=500"
    assert first.startswith(f"failed  {given.format('fcn', 2)}  FileExistsError: ")
    assert first.endswith(f"  {NO_FOLDER}")
    assert second == f"failed  {given.format('cnn', 2)}  killed by SIGKILL (often: out of memory)  {KILLED}"
    assert counts == "6 runs: 4 done, 2 failed"
    assert last == "stn-train: 2 of 6 runs failed, see above; the same command retries them"
    assert re.search(r"^\[\d+/6\] model=cnn seed=3  done  validation error \d+\.\d+ %", err, re.MULTILINE)
    before = finished()
    assert len(before) == 4
    log = (RUNS / "cnn-plain/smoke/seed3/log.txt").read_text()
    assert "parameters (width" in log
    assert "epoch 1/1" in log
    assert "epoch 1/1" not in err  # the words of runs beside one another are kept apart

    NO_FOLDER.unlink()
    again = subprocess.run([TRAIN, *SWEEP], capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert again.stderr.splitlines()[-1] == "6 runs: 2 done, 4 skipped"
    after = finished()
    assert len(after) == 6
    assert before.items() <= after.items(), "a finished run was trained again"
    assert (RUNS / "cnn-plain/smoke/seed3/log.txt").read_text() == log
