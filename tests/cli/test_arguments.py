"""Options and overrides may stand in any order, and Hydra understands what comes out."""

import pytest
from hydra._internal.utils import get_args_parser

from stn_bench.cli.arguments import OptionError, options_last


@pytest.mark.parametrize(
    ("words", "sorted_words"),
    [
        ([], []),
        (["-m"], ["-m"]),
        (["model=cnn", "seed=1"], ["model=cnn", "seed=1"]),
        (["model=cnn", "-m", "seed=1,2"], ["model=cnn", "seed=1,2", "-m"]),
        (["-m", "model=cnn", "--config-dir", "here", "seed=1"], ["model=cnn", "seed=1", "-m", "--config-dir", "here"]),
        (
            ["model=cnn", "--cfg", "job", "seed=1", "-p", "model"],
            ["model=cnn", "seed=1", "--cfg", "job", "-p", "model"],
        ),
        (["a=1", "--", "b=2"], ["a=1", "b=2"]),
        (["a=1", "a=1", "-m"], ["a=1", "a=1", "-m"]),
    ],
)
def test_options_come_last_and_keep_their_values(words, sorted_words):
    assert options_last(words) == sorted_words
    get_args_parser().parse_args(sorted_words)  # exits where it does not understand


def test_an_unknown_option_is_refused_by_name():
    with pytest.raises(OptionError, match=r"^there is no option --nope: see stn-train --help"):
        options_last(["model=cnn", "--nope", "seed=1"])
