"""Commands whose output is read by another one, which may leave first: `stn-train --help | head`."""

import os
import sys
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

P = ParamSpec("P")


def ends_with_its_reader(command: Callable[P, int]) -> Callable[P, int]:
    """Have a command end without a word, with 1, once nobody reads its output."""

    @wraps(command)
    def main(*args: P.args, **kwargs: P.kwargs) -> int:
        try:
            code = command(*args, **kwargs)
            sys.stdout.flush()  # here, where it can be caught, not when Python ends
            return code
        except BrokenPipeError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())  # what is left to be written when Python ends
            return 1

    return main
