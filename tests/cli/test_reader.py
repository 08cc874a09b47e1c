"""A reader of a command's output may leave first, as `head` does."""

import subprocess
import sys
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent


@pytest.mark.parametrize(
    "words",
    [["stn-train", "--help"], ["stn-table", "--runs", "."], ["stn-data", "path"]],
    ids=lambda words: words[0],
)
def test_a_command_whose_reader_has_left_ends_without_a_word(words, tmp_path):
    command = subprocess.Popen(
        [BIN / words[0], *words[1:]], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    command.stdout.close()
    said = command.stderr.read()
    command.stderr.close()
    assert command.wait() == 1
    assert [line for line in said.splitlines() if "no run in . counts" not in line] == []
