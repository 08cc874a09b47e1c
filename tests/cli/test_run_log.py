"""Where a launcher wishes so, everything a run says from the moment it owns its folder is in a file there."""

import os
import subprocess
import sys

PROGRAM = """
import os, sys
from pathlib import Path
from stn_bench.cli.run_log import say_to_folder
print("before", flush=True)
say_to_folder(Path.cwd())
print("from Python")
print("as an error", file=sys.stderr)
os.system("echo from another program")
os.write(2, b"from C\\n")
"""


def said(folder, **variables):
    environment = {name: value for name, value in os.environ.items() if name != "STN_RUN_LOG"} | variables
    command = [sys.executable, "-u", "-c", PROGRAM]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    return done.stdout, done.stderr


def test_all_that_a_process_says_is_appended_to_the_file(tmp_path):
    words = "from Python\nas an error\nfrom another program\nfrom C\n"
    (tmp_path / "log.txt").write_text("an earlier attempt\n")
    assert said(tmp_path, STN_RUN_LOG="log.txt") == ("before\n", "")
    assert (tmp_path / "log.txt").read_text() == f"an earlier attempt\n{words}"


def test_without_a_launchers_wish_the_terminal_hears_it(tmp_path):
    assert said(tmp_path) == ("before\nfrom Python\nfrom another program\n", "as an error\nfrom C\n")
    assert os.listdir(tmp_path) == []
