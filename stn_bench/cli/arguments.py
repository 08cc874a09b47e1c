"""The words of a command line in the order that Hydra takes them in: `stn-train model=cnn -m seed=1,2` is one, too."""

from argparse import Namespace
from collections.abc import Sequence

from stn_bench.errors import UserError


class OptionError(UserError, ValueError):
    """Raised for an option that Hydra does not have."""


def options_last(words: Sequence[str]) -> list[str]:
    """The same words, KEY=VALUE first: Hydra's own parser refuses those that stand on both sides of an option.

    Raises OptionError.
    """
    found, unknown = parsed(words)
    if unknown:
        raise OptionError(f"there is no option {unknown[0]}: see stn-train --help and stn-train --hydra-help")
    options = list(words)
    for override in found.overrides:
        options.remove(override)
    return [*found.overrides, *(word for word in options if word != "--")]


def parsed(words: Sequence[str]) -> tuple[Namespace, list[str]]:
    """The words as Hydra's own parser takes them, wherever they stand, and those that it does not know."""
    from hydra._internal.utils import get_args_parser  # where hydra.main takes it from

    return get_args_parser().parse_known_intermixed_args(list(words))
