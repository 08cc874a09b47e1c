"""What a table lacks is trained by the commands below it: all of it, nothing else, and by few of them."""

import itertools
import random
from importlib.resources import files
from typing import NamedTuple

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from hydra_plugins.stn_grid_sweeper.grid_sweeper import expand
from stn_bench.results.missing import fill_commands, missing_seeds
from stn_bench.results.spec import parse_spec
from stn_bench.results.table import build_table, with_runs

CONFIGS = files("stn_bench.configs")
TABLE_1 = parse_spec(CONFIGS.joinpath("table/distorted_mnist.yaml").read_text(), "distorted_mnist")
OWN = """
title: Errors
source: me
columns:
  - {label: R, match: {data: r}}
  - {label: E, match: {data: e}}
rows:
  - {label: CNN, match: {model: cnn, transform: null}}
  - {label: ST-CNN, transform_label: Aff, match: {model: cnn_stn, transform: affine}}
  - {label: ST-CNN, transform_label: TPS, match: {model: cnn_stn, transform: tps}}
"""
CELLS = [  # the 32 with a published number
    (row.match["model"], row.match["transform"], column.match["data"])
    for row in TABLE_1.rows
    for column in TABLE_1.columns
    if any(row.published)
]


class Run(NamedTuple):
    """What a table tells runs apart by."""

    model: str
    transform: str | None
    data: str
    seed: int
    tag: str | None = None


BOUNDS = [
    Run(model, None, data, seed, tag)
    for model in ("fcn", "cnn")
    for data, tag in (("r", "oracle"), ("rts", "oracle"), ("p", "oracle"), ("e", "oracle"), ("none", None))
    for seed in (1, 2, 3)
]


def grids(words):
    """The grids of the sweep that is among the words of a command."""
    (name,) = [word.removeprefix("sweep=") for word in words if word.startswith("sweep=")] or [None]
    content = OmegaConf.create(CONFIGS.joinpath(f"sweep/{name}.yaml").read_text() if name else "{}")
    return OmegaConf.select(content, "hydra.sweeper.grids", default=[])


def runs_of(command):
    """The runs that a command makes, and its other words."""
    program, *words = command.split()
    assert program == "stn-train"
    of_sweep = OmegaConf.to_container(OmegaConf.create({"grids": grids(words)}))["grids"]
    words = [word for word in words if not word.startswith("sweep=") and word != "-m"]
    made = []
    for overrides in expand(of_sweep, OverridesParser.create().parse_overrides(words)):
        values = dict(override.split("=") for override in overrides)
        keys = ("model", "transform", "data", "seed", "tag")
        product = itertools.product(*(values.get(key, "").split(",") for key in keys))
        made += [Run(model, warp or None, data, int(seed), tag or None) for model, warp, data, seed, tag in product]
    return made, {word for word in words if word.split("=")[0] in ("recipe", "tag")}


def all_runs(commands):
    return [run for command in commands for run in runs_of(command)[0]]


def wanted(spec):
    """The runs of a full table, each once."""
    cells = [row.match_in(column) for row in spec.rows for column in spec.columns]
    runs = [
        Run(cell["model"], cell["transform"], cell["data"], seed, cell.get("tag"))
        for cell in cells
        for seed in (1, 2, 3)
    ]
    return list(dict.fromkeys(runs))


def lacking(spec, make_record, left_out):
    """A table with three seeds in each cell but for the runs left out."""
    left_out = [Run(*run) for run in left_out]
    return build_table(spec, [make_record(**run._asdict()) for run in wanted(spec) if run not in left_out])


def test_an_empty_table_is_its_sweeps():
    commands = fill_commands(build_table(TABLE_1, []))
    assert commands == ["stn-train sweep=distorted_mnist", "stn-train sweep=bounds"]
    assert [len(all_runs([command])) for command in commands] == [96, 30]
    assert sorted(all_runs(commands), key=str) == sorted(wanted(TABLE_1), key=str)


def test_recipe_and_tag_are_handed_on_but_where_a_sweep_has_tags_of_its_own():
    assert fill_commands(build_table(TABLE_1, [], recipe="paper", tag="x")) == [
        "stn-train sweep=distorted_mnist recipe=paper tag=x",
        "stn-train sweep=bounds recipe=paper",
    ]


@pytest.mark.parametrize(
    ("left_out", "words"),
    [
        (BOUNDS, ""),
        ([run for run in BOUNDS if run.data == "none"], " data=none"),
        ([run for run in BOUNDS if run.tag], " data=r,rts,p,e"),
        ([run for run in BOUNDS if run.seed == 2 and run.model == "cnn"], " model=cnn seed=2"),
        ([run for run in BOUNDS if run.seed == 3 and run.data in ("e", "none")], " data=e,none seed=3"),
    ],
)
def test_bounds_are_filled_by_their_own_sweep_each_run_once(make_record, left_out, words):
    (command,) = fill_commands(lacking(TABLE_1, make_record, left_out))
    assert command.split()[:2] == ["stn-train", "sweep=bounds"]
    assert set(command.split()[2:]) == {"recipe=fast", *words.split()}
    assert sorted(all_runs([command]), key=str) == sorted(left_out, key=str)


def test_a_full_table_needs_no_command(make_record):
    assert fill_commands(lacking(TABLE_1, make_record, [])) == []


@pytest.mark.parametrize(
    ("left_out", "command"),
    [
        ([("fcn", None, "p", 2), ("fcn", None, "p", 3)], "model=fcn data=p recipe=fast seed=2,3"),
        ([("cnn_stn", "tps", "e", 1)], "model=cnn_stn transform=tps data=e recipe=fast seed=1"),
        ([(*cell, 3) for cell in CELLS], "recipe=fast seed=3"),
        ([(*cell, seed) for cell in CELLS if cell[2] in "re" for seed in (1, 2, 3)], "data=r,e recipe=fast"),
        (
            [(*cell, 2) for cell in CELLS if cell[1] == "affine" and cell[2] == "rts"],
            "model=fcn_stn,cnn_stn transform=affine data=rts recipe=fast seed=2",
        ),
        ([(*cell, 2) for cell in CELLS if "cnn" in cell[0]], "model=cnn,cnn_stn recipe=fast seed=2"),
    ],
)
def test_what_one_command_can_do_is_one_command(make_record, left_out, command):
    commands = fill_commands(lacking(TABLE_1, make_record, left_out))
    assert commands == [f"stn-train sweep=distorted_mnist {command}"]
    assert sorted(all_runs(commands), key=str) == sorted((Run(*run) for run in left_out), key=str)


@pytest.mark.parametrize("seed", range(20))
def test_the_commands_make_what_is_missing_once_and_nothing_that_the_table_has_no_place_for(make_record, seed):
    chance = random.Random(seed)
    spec = TABLE_1 if seed % 2 else parse_spec(OWN, "own")
    runs = wanted(spec)
    left_out = chance.sample(runs, chance.choice([1, 2, 3, 5, len(runs) // 2, len(runs) - 1]))
    commands = fill_commands(lacking(spec, make_record, left_out))
    assert len(commands) <= 3 or spec is not TABLE_1
    for bounds in (False, True):
        part = [run for run in left_out if (spec is TABLE_1 and run in BOUNDS) == bounds]
        of_part = [command for command in commands if ("sweep=bounds" in command) == bounds]
        if spec is TABLE_1 and len(of_part) == 1:  # it spans what is missing, and what is finished is skipped
            assert set(part) <= set(all_runs(of_part)) <= set(runs)
        else:
            assert sorted(all_runs(of_part), key=str) == sorted(part, key=str)
    assert len(all_runs(commands)) == len(set(all_runs(commands)))
    assert all(runs_of(command)[1] == {"recipe=fast"} for command in commands)


def test_many_scattered_runs_are_left_to_one_command_that_spans_them(make_record):
    plain = [Run("fcn", None, "r", 2), Run("cnn", None, "p", 3), Run("fcn", None, "p", 1), Run("cnn", None, "e", 1)]
    (command,) = fill_commands(lacking(TABLE_1, make_record, plain))
    assert command == "stn-train sweep=distorted_mnist model=fcn,cnn data=r,p,e recipe=fast"
    mixed = [*plain, Run("cnn_stn", "tps", "r", 1)]
    (command,) = fill_commands(lacking(TABLE_1, make_record, mixed))
    assert command == "stn-train sweep=distorted_mnist model=fcn,cnn,cnn_stn data=r,p,e recipe=fast"
    assert set(mixed) < set(all_runs([command]))


def test_where_many_runs_of_two_sweeps_are_missing_each_gets_one_command(make_record):
    left_out = [Run("fcn", None, "r", 2), Run("cnn", None, "p", 3), Run("fcn", None, "p", 1)]
    left_out += [Run("fcn", None, "r", 2, "oracle"), Run("cnn", None, "none", 1)]
    assert fill_commands(lacking(TABLE_1, make_record, left_out)) == [
        "stn-train sweep=distorted_mnist model=fcn,cnn data=r,p recipe=fast",
        "stn-train sweep=bounds data=r,none recipe=fast seed=1,2",
    ]


def test_a_table_without_a_sweep_gets_commands_of_its_own(make_record):
    spec = parse_spec(OWN, "own")
    assert fill_commands(build_table(spec, [])) == [
        "stn-train model=cnn data=r,e seed=1,2,3 -m",
        "stn-train model=cnn_stn transform=affine,tps data=r,e seed=1,2,3 -m",
    ]


def test_columns_of_different_recipes_get_commands_of_their_own():
    text = OWN.replace("data: r}", "data: r, recipe: fast}").replace("data: e}", "data: e, recipe: paper}")
    assert fill_commands(build_table(parse_spec(text, "own"), []))[:2] == [
        "stn-train model=cnn data=r recipe=fast seed=1,2,3 -m",
        "stn-train model=cnn data=e recipe=paper seed=1,2,3 -m",
    ]


@pytest.mark.parametrize(
    ("there", "seeds"), [((), (1, 2, 3)), ((2,), (1, 3)), ((7,), (1, 2)), ((7, 1), (2,)), ((4, 5, 6), ())]
)
def test_a_cell_lacks_as_many_runs_as_keep_it_from_three_whatever_their_seeds(make_record, there, seeds):
    table = build_table(TABLE_1, [make_record(seed=seed) for seed in there])
    cell = table.rows[1][0]
    assert (cell.row.name, cell.column.label) == ("CNN", "R")
    assert missing_seeds(cell) == seeds


def test_where_rows_are_left_out_one_run_fills_a_cell(make_record):
    assert fill_commands(with_runs(build_table(TABLE_1, [make_record()]))) == []


@pytest.mark.parametrize(
    ("there", "lacking"),
    [
        ([("cnn", None, "r"), ("cnn", None, "p"), ("cnn_stn", "affine", "r")], [("cnn_stn", "affine", "p")]),
        (
            [("fcn_stn", "affine", "r"), ("fcn_stn", "tps", "p")],
            [("fcn_stn", "affine", "p"), ("fcn_stn", "tps", "r")],
        ),
    ],
)
def test_where_rows_are_left_out_no_run_of_theirs_is_asked_for(make_record, there, lacking):
    table = with_runs(build_table(TABLE_1, [make_record(*cell) for cell in there]))
    assert sorted(all_runs(fill_commands(table)), key=str) == sorted((Run(*cell, 1) for cell in lacking), key=str)
