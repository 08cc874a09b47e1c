"""`scripts/reproduce_table1.sh` hands its words on, goes on where it stopped, and collects only what is whole."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts/reproduce_table1.sh"
SWEEPS = re.search(r"^sweeps=\((.+)\)$", SCRIPT.read_text(), re.MULTILINE)[1].split()
RECORDER = '#!/bin/sh\necho "$(basename "$0") $*" >> "$LOG"\n'


@pytest.fixture
def reproduce(tmp_path):
    """A function that runs the script where each command only notes that it was called: (exit code, calls)."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(SCRIPT, tmp_path / "scripts")
    bin_folder = tmp_path / ".venv/bin"
    bin_folder.mkdir(parents=True)

    def run(*words, failing="", **environment):
        for name in ("make", "stn-data", "stn-train", "python"):
            path = bin_folder / name
            path.write_text(RECORDER + ("exit 3\n" if name == failing else ""))
            path.chmod(0o755)
        log = tmp_path / "log"
        log.write_text("")
        environment = {**os.environ, "PATH": f"{bin_folder}:{os.environ['PATH']}", "LOG": str(log), **environment}
        folder = Path(environment.get("TABLE1", "outputs/table1"))
        recipe = next((word.partition("=")[2] for word in words if word.startswith("recipe=")), "fast")
        made = tmp_path / folder / recipe
        made.mkdir(parents=True, exist_ok=True)
        for name in ("table.md", "totals.md"):
            (made / name).write_text(f"the {name}\n")
        done = subprocess.run(
            [tmp_path / "scripts/reproduce_table1.sh", *words], env=environment, cwd="/", capture_output=True, text=True
        )
        return done.returncode, log.read_text().splitlines(), done.stdout

    return run


def test_from_nothing_to_the_table(reproduce):
    code, calls, said = reproduce()
    assert code == 0
    assert calls == [
        "make --no-print-directory .venv/installed",
        "stn-data fetch",
        *(f"stn-train sweep={sweep}" for sweep in SWEEPS),
        "python scripts/collect_reference.py outputs/runs outputs/table1/fast --recipe fast",
    ]
    assert said.index("the table.md") < said.index("the totals.md")


def test_words_go_to_every_sweep_and_choose_what_is_collected(reproduce):
    code, calls, _ = reproduce("recipe=paper", "data=r,e", "output=/elsewhere", TABLE1="mine")
    assert code == 0
    assert calls[2:-1] == [f"stn-train sweep={sweep} recipe=paper data=r,e output=/elsewhere" for sweep in SWEEPS]
    assert calls[-1] == "python scripts/collect_reference.py /elsewhere mine/paper --recipe paper"


@pytest.mark.parametrize("word", ["transform=tps", "model=cnn_stn", "model=fcn,fcn_stn"])
def test_what_has_a_transformer_is_not_asked_of_the_bounds(reproduce, word):
    code, calls, _ = reproduce(word, "data=r")
    assert code == 0
    assert calls[2:-1] == [f"stn-train sweep=distorted_mnist {word} data=r"]


@pytest.mark.parametrize(("failing", "reached"), [("make", 1), ("stn-data", 2), ("stn-train", 3)])
def test_what_fails_ends_it_before_anything_is_collected(reproduce, failing, reached):
    code, calls, said = reproduce(failing=failing)
    assert code == 3
    assert len(calls) == reached
    assert "the table.md" not in said


def test_its_sweeps_are_there():
    assert "distorted_mnist" in SWEEPS
    assert all((ROOT / f"configs/sweep/{sweep}.yaml").is_file() for sweep in SWEEPS)


def test_make_calls_it_and_says_so():
    makefile = (ROOT / "Makefile").read_text()
    assert "\ntable1:\n\tscripts/reproduce_table1.sh $(WORDS)\n" in makefile
    assert "make table1 " in subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True).stdout


@pytest.mark.parametrize("word", ["tag=mine", "data.validation=10000"])
def test_words_whose_runs_no_table_collects_are_refused_before_anything_is_trained(reproduce, word):
    code, calls, _ = reproduce("data=r", word)
    assert (code, calls) == (2, [])
