"""`stn-train` in this process and in one of its own."""

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

TRAIN = Path(sys.executable).with_name("stn-train")


class Said(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def stn_train(tmp_path, monkeypatch, capsys):
    """A function of words: `stn-train WORDS` in this process, in a folder that is empty at first."""
    from hydra.core.global_hydra import GlobalHydra

    from stn_bench.cli.train import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")  # so that it is unset again

    def command(*words):
        monkeypatch.setattr(sys, "argv", ["stn-train", *words])
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        finally:
            GlobalHydra.instance().clear()
        out, err = capsys.readouterr()
        return Said(code, out, err) if isinstance(code, int) else Said(1, out, f"{err}{code}\n")

    return command


@pytest.fixture
def stn_train_process(tmp_path, monkeypatch):
    """The same in a fresh process."""
    monkeypatch.chdir(tmp_path)

    def command(*words, **settings):
        done = subprocess.run([TRAIN, *words], capture_output=True, text=True, **settings)
        return Said(done.returncode, done.stdout, done.stderr)

    return command


@pytest.fixture
def few_files(tmp_path, monkeypatch, few_digits):
    """Has every command of this process see a few digits instead of MNIST."""
    monkeypatch.setattr("stn_bench.data.distorted.load_mnist", lambda folder: few_digits)
    return few_digits
