"""The words of a run in a file in its folder, for runs beside one another, whose words would mingle on a terminal."""

import os
import sys
from pathlib import Path

VARIABLE = "STN_RUN_LOG"
"""The environment variable that holds the file's name; a launcher sets it for the processes of its runs."""


def say_to_folder(folder: Path) -> None:
    """If a launcher wishes so, append everything this process says from now on to a file in `folder`.

    To be called once the folder is this run's own. It is done below Python, so that C libraries are heard, too.
    """
    name = os.environ.get(VARIABLE)
    if not name:
        return
    sys.stdout.flush()
    sys.stderr.flush()
    file = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)
