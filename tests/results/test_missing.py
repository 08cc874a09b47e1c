"""What a table lacks is trained by the commands below it: all of it, nothing else, and by few of them."""

import itertools
import random
from importlib.resources import files

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from hydra_plugins.stn_grid_sweeper.grid_sweeper import expand
from stn_bench.results.missing import fill_commands, missing_seeds
from stn_bench.results.spec import parse_spec
from stn_bench.results.table import build_table, with_runs

CONFIGS = files("stn_bench.configs")
TABLE_1 = parse_spec(CONFIGS.joinpath("table/distorted_mnist.yaml").read_text(), "distorted_mnist")
GRIDS = OmegaConf.to_container(OmegaConf.create(CONFIGS.joinpath("sweep/distorted_mnist.yaml").read_text()))
GRIDS = GRIDS["hydra"]["sweeper"]["grids"]
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
CELLS = [
    (row.match["model"], row.match["transform"], column.match["data"])
    for row in TABLE_1.rows
    for column in TABLE_1.columns
]


def runs_of(command):
    """The runs that a command makes: (model, transform, data, seed), and its other words."""
    program, *words = command.split()
    assert program == "stn-train"
    grids = GRIDS if "sweep=distorted_mnist" in words else []
    words = [word for word in words if not word.startswith("sweep=") and word != "-m"]
    made = []
    for overrides in expand(grids, OverridesParser.create().parse_overrides(words)):
        values = dict(override.split("=") for override in overrides)
        product = itertools.product(*(values.get(key, "").split(",") for key in ("model", "transform", "data", "seed")))
        made += [(model, transform or None, data, int(seed)) for model, transform, data, seed in product]
    return made, {word for word in words if word.split("=")[0] in ("recipe", "tag")}


def all_runs(commands):
    return [run for command in commands for run in runs_of(command)[0]]


def lacking(spec, make_record, left_out):
    """A table with three seeds in each cell but for the runs left out."""
    rows = [(row.match["model"], row.match["transform"]) for row in spec.rows]
    wanted = [(*row, column.match["data"], seed) for row in rows for column in spec.columns for seed in (1, 2, 3)]
    return build_table(spec, [make_record(*run[:3], seed=run[3]) for run in wanted if run not in left_out])


def test_an_empty_table_is_its_sweep():
    assert fill_commands(build_table(TABLE_1, [])) == ["stn-train sweep=distorted_mnist"]
    assert fill_commands(build_table(TABLE_1, [], recipe="paper", tag="x")) == [
        "stn-train sweep=distorted_mnist recipe=paper tag=x"
    ]
    assert len(all_runs(["stn-train sweep=distorted_mnist"])) == 96


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
    assert sorted(all_runs(commands), key=str) == sorted(left_out, key=str)


@pytest.mark.parametrize("seed", range(20))
def test_the_commands_make_what_is_missing_once_and_nothing_that_the_table_has_no_place_for(make_record, seed):
    chance = random.Random(seed)
    spec = TABLE_1 if seed % 2 else parse_spec(OWN, "own")
    rows = [(row.match["model"], row.match["transform"]) for row in spec.rows]
    wanted = [(*row, column.match["data"], number) for row in rows for column in spec.columns for number in (1, 2, 3)]
    left_out = chance.sample(wanted, chance.choice([1, 2, 3, 5, len(wanted) // 2, len(wanted) - 1]))
    commands = fill_commands(lacking(spec, make_record, left_out))
    if spec is TABLE_1 and len(commands) == 1:  # it spans what is missing, and what is finished is skipped
        assert set(left_out) <= set(all_runs(commands)) <= set(wanted)
    else:
        assert sorted(all_runs(commands), key=str) == sorted(left_out, key=str)
        assert len(commands) <= 3 or spec is not TABLE_1
    assert all(runs_of(command)[1] == {"recipe=fast"} for command in commands)


def test_many_scattered_runs_are_left_to_one_command_that_spans_them(make_record):
    plain = [("fcn", None, "r", 2), ("cnn", None, "p", 3), ("fcn", None, "p", 1), ("cnn", None, "e", 1)]
    (command,) = fill_commands(lacking(TABLE_1, make_record, plain))
    assert command == "stn-train sweep=distorted_mnist model=fcn,cnn data=r,p,e recipe=fast"
    mixed = [*plain, ("cnn_stn", "tps", "r", 1)]
    (command,) = fill_commands(lacking(TABLE_1, make_record, mixed))
    assert command == "stn-train sweep=distorted_mnist model=fcn,cnn,cnn_stn data=r,p,e recipe=fast"
    assert set(mixed) < set(all_runs([command]))


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
    (cell,) = (c for c in table.cells if (c.choices["model"], c.choices["data"]) == ("cnn", "r"))
    assert missing_seeds(cell) == seeds


def test_where_rows_are_left_out_one_run_fills_a_cell(make_record):
    assert fill_commands(with_runs(build_table(TABLE_1, [make_record()]))) == []
