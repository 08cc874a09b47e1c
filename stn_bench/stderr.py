"""Lines on standard error, for whoever still reads them."""

import os
import sys

from tqdm import tqdm


def say(text: str) -> None:
    """Write a line, above a bar of progress if there is one.

    Once nobody reads, as when the Ctrl-C that stops a run ends the `tee` behind it, too, words go nowhere.
    """
    try:
        tqdm.write(text, file=sys.stderr)
        sys.stderr.flush()
    except BrokenPipeError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stderr.fileno())
        os.close(nowhere)
