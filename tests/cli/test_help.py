"""`stn-train --help`: everything that can be chosen, at once."""

import re
import subprocess
import sys

import pytest

from stn_bench.cli.choices import GROUPS, choices
from stn_bench.cli.help import page


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_is_the_page_and_exits_0(stn_train, flag):
    assert stn_train("model=cnn", flag) == (0, f"{page()}\n", "")


@pytest.mark.parametrize("group", GROUPS)
def test_the_page_lists_every_choice_with_its_explanation(group):
    section = page().split(f"\n{group}=  ")[1].split("\n\n")[0].splitlines()
    assert [line.split()[0] for line in section[1:]] == list(choices(group))
    for line, explanation in zip(section[1:], choices(group).values(), strict=True):
        assert explanation.endswith(line[21:])
        assert len(line[21:]) > 10


def test_the_page_lists_the_choices_of_ones_own_configs_too(stn_train, tmp_path):
    (tmp_path / "conf/model").mkdir(parents=True)
    (tmp_path / "conf/model/mine.yaml").write_text("# mine: one layer\n")
    said = stn_train("--config-dir", str(tmp_path / "conf"), "--help").out
    assert "\n  mine               one layer\n" in said
    assert set(page().splitlines()) < set(said.splitlines())


def test_the_page_says_what_is_chosen_without_words(compose_config):
    words = re.search(r"^Without arguments: (.*)\.$", page(), re.MULTILINE)[1].split()
    assert [word.split("=")[0] for word in words] == ["model", "transform", "data", "recipe", "seed"]
    assert compose_config(*words) == compose_config()


def test_the_page_fits_a_wide_terminal():
    assert max(map(len, page().splitlines())) <= 120


def test_what_cannot_be_chosen_is_not_listed():
    assert not [name for group in GROUPS for name in choices(group) if name.startswith("_")]


def test_help_loads_neither_torch_nor_hydra():
    program = "import sys; sys.argv[1:] = ['--help']\nfrom stn_bench.cli.train import main\nmain()\n"
    program += "print({'torch', 'hydra', 'omegaconf', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"
